//! Faults in words, for those who are not written in Rust.

use std::str::FromStr;
use std::time::Duration;

use ottla_protocol::{ApiKey, ErrorCode};

use super::Fault;

/// Words that describe no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAFault(String);

const NAMES: &str = "api, topic, partition, client-id, node, after, times, error, error-after, \
                     drop, disconnect, delay-ms, throttle-ms, cut-answer-bytes, flip-bits, \
                     answer, serve-again-ms";

/// What a fault without anything that happens is asked for.
const DOES_NOTHING: &str = "nothing would happen: say error, error-after, drop, disconnect, \
                            delay-ms, throttle-ms, cut-answer-bytes, flip-bits, answer or \
                            serve-again-ms";

impl Fault {
    /// A fault by the names and values of its parts.
    ///
    /// | Name | Value |
    /// |---|---|
    /// | `api` | The API by its name or number, as in `Produce`; without it, any |
    /// | `topic`, `partition`, `client-id`, `node` | Only requests that are about these |
    /// | `after` | Lets so many requests pass first |
    /// | `times` | To how many requests it happens, or `always`; 1 unless told |
    /// | `error` | The request is answered with this error, as in `NOT_LEADER_OR_FOLLOWER` |
    /// | `error-after` | The request is served and answered with this error |
    /// | `drop` | `request` or `response`: that is lost |
    /// | `disconnect` | `before` or `after` the request is served |
    /// | `delay-ms` | The answer comes so much later |
    /// | `throttle-ms` | The client is told to wait so long, and is not heard meanwhile |
    /// | `cut-answer-bytes` | So much of the answer leaves before the connection closes |
    /// | `flip-bits` | So many bits of the answer are wrong |
    /// | `answer` | `malformed`, `repeated`, or `swapped` with the next one of the connection |
    /// | `serve-again-ms` | A copy of the request is served so much later, and nobody hears of it |
    ///
    /// A `_` in a name is as good as a `-`.
    ///
    /// # Errors
    /// When a name or a value is none of these, or nothing would happen.
    pub fn from_parts<'a>(
        parts: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, NotAFault> {
        let mut fault = Self::on_any();
        let mut does_something = false;
        for (name, value) in parts {
            let wrong = |what: &str| NotAFault(format!("{name}={value}: {what}"));
            let milliseconds = || number(name, value).map(Duration::from_millis);
            let name = name.replace('_', "-");
            let is_limit = ["api", "topic", "partition", "client-id", "node", "after", "times"];
            does_something |= !is_limit.contains(&name.as_str());
            fault = match name.as_str() {
                "api" => Self { api: Some(api(value)?), ..fault },
                "topic" => fault.topic(value),
                "partition" => fault.partition(number(&name, value)?),
                "client-id" => fault.client_id(value),
                "node" => fault.node(number(&name, value)?),
                "after" => fault.after(number(&name, value)?),
                "times" if value == "always" => fault.always(),
                "times" => fault.times(some(&name, value)?),
                "error" => fault.error(error(value)?),
                "error-after" => fault.error_after_apply(error(value)?),
                "drop" => match value {
                    "request" => fault.drop_request(),
                    "response" => fault.drop_response(),
                    _ => return Err(wrong("request or response")),
                },
                "disconnect" => match value {
                    "before" => fault.disconnect(),
                    "after" => fault.disconnect_after_apply(),
                    _ => return Err(wrong("before or after the request is served")),
                },
                "delay-ms" => fault.delay(milliseconds()?),
                "throttle-ms" => fault.throttle(milliseconds()?),
                "cut-answer-bytes" => fault.cut_answer(number(&name, value)?),
                "flip-bits" => fault.flip_bits(some(&name, value)?),
                "answer" => match value {
                    "malformed" => fault.malformed_answer(),
                    "repeated" => fault.repeat_answer(),
                    "swapped" => fault.swap_answer(),
                    _ => return Err(wrong("malformed, repeated or swapped")),
                },
                "serve-again-ms" => fault.serve_again(milliseconds()?),
                _ => return Err(NotAFault(format!("{name} is none of {NAMES}"))),
            };
        }
        match does_something {
            true => Ok(fault),
            false => Err(NotAFault(DOES_NOTHING.to_owned())),
        }
    }
}

/// A fault in words, as in `api=Produce topic=events error=NOT_LEADER_OR_FOLLOWER times=3`: the
/// parts of [`Fault::from_parts`] with blanks between them.
impl FromStr for Fault {
    type Err = NotAFault;

    fn from_str(words: &str) -> Result<Self, NotAFault> {
        let part = |word| {
            str::split_once(word, '=')
                .ok_or_else(|| NotAFault(format!("{word}: NAME=VALUE was expected")))
        };
        let parts: Result<Vec<_>, _> = words.split_whitespace().map(part).collect();
        Self::from_parts(parts?)
    }
}

fn number<N: FromStr>(name: &str, value: &str) -> Result<N, NotAFault> {
    value.parse().map_err(|_| NotAFault(format!("{name}={value}: a number was expected")))
}

/// A number of something that is to happen.
fn some(name: &str, value: &str) -> Result<u32, NotAFault> {
    match number(name, value)? {
        0 => Err(NotAFault(format!("{name}={value}: nothing would happen"))),
        count => Ok(count),
    }
}

/// An API by its name or number.
fn api(value: &str) -> Result<ApiKey, NotAFault> {
    let known = ApiKey::named(value).or_else(|| value.parse().ok().map(ApiKey));
    known.filter(|key| !key.name().is_empty()).ok_or_else(|| {
        NotAFault(format!("api={value}: Kafka has no such API; Produce, Fetch, Metadata are some"))
    })
}

/// An error by its name or number.
fn error(value: &str) -> Result<ErrorCode, NotAFault> {
    let is_it = |code: &&ErrorCode| code.name().eq_ignore_ascii_case(value);
    let by_name = ErrorCode::KNOWN.iter().find(is_it).copied();
    let known = by_name.or_else(|| value.parse().ok().map(ErrorCode));
    known.filter(|code| code.is_known() && !code.is_ok()).ok_or_else(|| {
        let some = ErrorCode::NOT_LEADER_OR_FOLLOWER.name();
        NotAFault(format!("{value}: Kafka has no such error; {some} is one"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &str) -> Result<String, String> {
        let fault: Result<Fault, NotAFault> = words.parse();
        fault.map(|fault| format!("{fault:?}")).map_err(|error| error.to_string())
    }

    #[test]
    fn words_make_the_fault_that_the_methods_make() {
        let made = Fault::on(ApiKey::PRODUCE)
            .topic("events")
            .partition(2)
            .times(3)
            .error(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        let words = "api=produce topic=events partition=2 times=3 error=not_leader_or_follower";
        assert_eq!(of(words).unwrap(), format!("{made:?}"));
        let made = Fault::on_any().node(2).client_id("c").after(1).always().drop_response();
        let words = "node=2 client_id=c after=1 times=always drop=response";
        assert_eq!(of(words).unwrap(), format!("{made:?}"));
        let made = Fault::on(ApiKey::FETCH).delay(Duration::from_millis(20)).cut_answer(7);
        assert_eq!(of("api=1 delay_ms=20 cut-answer-bytes=7").unwrap(), format!("{made:?}"));
        let made = Fault::on(ApiKey::PRODUCE)
            .error(ErrorCode::REQUEST_TIMED_OUT)
            .serve_again(Duration::from_millis(5));
        let words = "api=Produce error=REQUEST_TIMED_OUT serve-again-ms=5";
        assert_eq!(of(words).unwrap(), format!("{made:?}"));
        for (word, made) in [
            ("malformed", Fault::on_any().malformed_answer()),
            ("repeated", Fault::on_any().repeat_answer()),
            ("swapped", Fault::on_any().swap_answer()),
        ] {
            assert_eq!(of(&format!("answer={word}")).unwrap(), format!("{made:?}"));
        }
    }

    #[test]
    fn what_is_wrong_with_words_is_said() {
        for (words, told) in [
            ("api=Produse error=6", "no such API"),
            ("error=NO_SUCH", "no such error"),
            ("error=NONE", "no such error"),
            ("api=Produce", "nothing would happen"),
            ("times=2", "nothing would happen"),
            ("times=0 drop=request", "nothing would happen"),
            ("flip-bits=0", "nothing would happen"),
            ("topic", "NAME=VALUE"),
            ("drop=everything", "request or response"),
            ("disconnect=now", "before or after"),
            ("delay-ms=fast", "a number"),
            ("answer=no", "malformed, repeated or swapped"),
            ("partition=99999999999 drop=request", "a number"),
            ("colour=red", "colour is none of api"),
        ] {
            let error = of(words).unwrap_err();
            assert!(error.contains(told), "{words}: {error}");
        }
    }
}
