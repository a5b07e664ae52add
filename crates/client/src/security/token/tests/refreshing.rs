use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use super::*;

/// A function that hands out `token-1`, `token-2` and so on, and fails while it is told to.
struct Script {
    clock: Still,
    calls: Arc<AtomicUsize>,
    failing: Arc<Mutex<Option<&'static str>>>,
    tokens: Tokens,
}

fn script(life_s: u64) -> Script {
    let clock = Still::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let failing = Arc::new(Mutex::new(None::<&str>));
    let function: TokenFunction = {
        let (clock, calls, failing) = (clock.clone(), Arc::clone(&calls), Arc::clone(&failing));
        Arc::new(move || {
            let call = calls.fetch_add(1, Ordering::SeqCst) + 1;
            match *failing.lock() {
                Some(why) => Err(why.into()),
                None => Ok(token(&format!("token-{call}"), &clock, life_s)),
            }
        })
    };
    let tokens = tokens_with(&settings(&[]), Some(function), &clock).expect("tokens");
    Script { clock, calls, failing, tokens }
}

impl Script {
    async fn get(&self) -> String {
        self.tokens.get().await.expect("a token").value().to_owned()
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_token_is_kept_until_its_time_to_be_replaced_has_come() {
    let it = script(3600);
    assert_eq!(it.get().await, "token-1");
    it.clock.go_on(2879);
    assert_eq!(it.get().await, "token-1");
    it.clock.go_on(182);
    assert_eq!(it.get().await, "token-2");
    assert_eq!(it.get().await, "token-2");
}

/// Laws: L9. Scenarios: S8.
#[tokio::test]
async fn while_its_source_fails_a_token_is_used_for_as_long_as_it_is_good() {
    let it = script(3600);
    assert_eq!(it.get().await, "token-1");
    *it.failing.lock() = Some("the vault is closed");
    it.clock.go_on(3599);
    assert_eq!(it.get().await, "token-1");
    assert_eq!(it.calls(), 2, "another was asked for");
    it.clock.go_on(1);
    let error = it.tokens.get().await.expect_err("it has expired").to_string();
    assert!(error.contains("the vault is closed"), "{error}");
    *it.failing.lock() = None;
    it.clock.go_on(60);
    assert_eq!(it.get().await, "token-4");
}

/// Laws: L9. Scenarios: S8.
#[tokio::test]
async fn a_source_that_failed_is_left_alone_for_a_while() {
    let it = script(3600);
    *it.failing.lock() = Some("no");
    for _ in 0..5 {
        assert!(it.tokens.get().await.is_err());
    }
    assert_eq!(it.calls(), 1);
    it.clock.go_on(1);
    assert!(it.tokens.get().await.is_err());
    assert_eq!(it.calls(), 2);
    // The while grows with each failure.
    for _ in 0..20 {
        it.clock.go_on(13);
        assert!(it.tokens.get().await.is_err());
    }
    it.clock.go_on(1);
    assert!(it.tokens.get().await.is_err());
    assert_eq!(it.calls(), 22);
}

#[tokio::test]
async fn all_who_wait_are_served_by_one_call() {
    let clock = Still::default();
    let gate = Arc::new(Barrier::new(2));
    let calls = Arc::new(AtomicUsize::new(0));
    let function: TokenFunction = {
        let (clock, calls, gate) = (clock.clone(), Arc::clone(&calls), Arc::clone(&gate));
        Arc::new(move || {
            calls.fetch_add(1, Ordering::SeqCst);
            gate.wait();
            Ok(token("the-one", &clock, 3600))
        })
    };
    let tokens = tokens_with(&settings(&[]), Some(function), &clock).expect("tokens");
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { tokens.get().await })
        })
        .collect();
    // They run until they wait.
    tokio::task::yield_now().await;
    tokio::task::spawn_blocking(move || gate.wait()).await.expect("opened");
    for waiter in waiting {
        assert_eq!(waiter.await.expect("done").expect("a token").value(), "the-one");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

/// A connection attempt that runs out of time must not cost the next one a fetch of its own.
#[tokio::test]
async fn a_fetch_goes_on_when_nobody_waits_for_it_any_more() {
    let it = script(3600);
    {
        let mut waiting = Box::pin(it.tokens.get());
        let first = std::future::poll_fn(|context| {
            std::task::Poll::Ready(waiting.as_mut().poll(context).is_pending())
        });
        assert!(first.await, "it cannot be there yet");
    }
    assert_eq!(it.get().await, "token-1");
    assert_eq!(it.calls(), 1);
}

/// Clients are shared by runtimes, as with tools beside a producer.
#[test]
fn a_fetch_whose_runtime_has_ended_is_done_by_the_next_who_asks() {
    let it = script(3600);
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime().block_on(async {
        let mut waiting = Box::pin(it.tokens.get());
        std::future::poll_fn(|context| {
            let _ = waiting.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
    });
    runtime().block_on(async {
        assert!(it.get().await.starts_with("token-"));
    });
}

/// Laws: L9. Scenarios: S8.
#[tokio::test]
async fn a_slow_source_does_not_hold_up_a_connection_while_the_old_token_is_good() {
    let clock = Still::default();
    let gate = Arc::new(Barrier::new(2));
    let calls = Arc::new(AtomicUsize::new(0));
    let function: TokenFunction = {
        let (clock, calls, gate) = (clock.clone(), Arc::clone(&calls), Arc::clone(&gate));
        Arc::new(move || {
            let call = calls.fetch_add(1, Ordering::SeqCst) + 1;
            if call > 1 {
                gate.wait();
            }
            Ok(token(&format!("token-{call}"), &clock, 3600))
        })
    };
    let still = Box::new(clock.clone());
    let patience = Duration::from_millis(1);
    let tokens =
        Tokens::with_clock(&settings(&[]), Some(function), still, patience).expect("tokens");
    assert_eq!(tokens.get().await.expect("the first").value(), "token-1");
    clock.go_on(3500);
    assert_eq!(tokens.get().await.expect("still the first").value(), "token-1");
    clock.go_on(100);
    let second = tokens.get();
    let (second, _) = tokio::join!(second, tokio::task::spawn_blocking(move || gate.wait()));
    assert_eq!(second.expect("now the second").value(), "token-2");
}

/// If brokers take none at all, the source is not asked for another with each connection.
/// Laws: L9. Scenarios: S8.
#[tokio::test]
async fn a_token_that_a_broker_did_not_take_is_replaced_if_it_is_not_a_new_one() {
    let it = script(3600);
    let first = it.tokens.get().await.expect("a token");
    it.clock.go_on(9);
    it.tokens.forget(&first);
    assert_eq!(it.get().await, "token-1");
    it.clock.go_on(1);
    it.tokens.forget(&first);
    let second = it.tokens.get().await.expect("another");
    assert_eq!(second.value(), "token-2");
    // Others may say the same of the old one, later.
    it.tokens.forget(&first);
    assert_eq!(it.get().await, "token-2");
}

/// Laws: none. Scenarios: S8, S13.
#[tokio::test]
async fn a_token_that_cannot_be_used_is_refused_without_being_shown() {
    let clock = Still::default();
    for (value, life_s, words) in [
        (format!("{CANARY} x"), 60, "character that no bearer token has"),
        (format!("{CANARY}\u{1}"), 60, "character that no bearer token has"),
        (String::new(), 60, "is empty"),
        (CANARY.to_owned(), 0, "has expired 0 s ago by the clock of this machine"),
    ] {
        let made = token(&value, &clock, life_s);
        assert!(!format!("{made:?} {made:#?}").contains(CANARY));
        let function: TokenFunction = Arc::new(move || Ok(made.clone()));
        let tokens = tokens_with(&settings(&[]), Some(function), &clock).expect("tokens");
        let error = tokens.get().await.expect_err("it is of no use").to_string();
        assert!(error.contains(words) && !error.contains(CANARY), "{error}");
    }
}

#[tokio::test]
async fn a_function_that_panics_is_an_error_and_may_do_better_later() {
    let clock = Still::default();
    let calls = AtomicUsize::new(0);
    let function: TokenFunction = {
        let clock = clock.clone();
        Arc::new(move || match calls.fetch_add(1, Ordering::SeqCst) {
            0 => panic!("{CANARY}"),
            _ => Ok(token("good", &clock, 60)),
        })
    };
    let tokens = tokens_with(&settings(&[]), Some(function), &clock).expect("tokens");
    let error = tokens.get().await.expect_err("a panic").to_string();
    assert_eq!(error, "the program's own function for tokens panicked");
    clock.go_on(1);
    assert_eq!(tokens.get().await.expect("a token").value(), "good");
}

#[tokio::test]
async fn extensions_of_the_settings_go_with_tokens_that_have_none() {
    let clock = Still::default();
    let config = settings(&[("sasl.oauthbearer.extensions", "logicalCluster=lkc-1")]);
    let extensions = |own: bool| {
        let made = token("t", &clock, 60);
        let made = if own { made.extension("pool", "p") } else { made };
        let function: TokenFunction = Arc::new(move || Ok(made.clone()));
        let tokens = tokens_with(&config, Some(function), &clock).expect("tokens");
        async move { tokens.get().await.expect("a token").extensions().to_vec() }
    };
    let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    assert_eq!(extensions(false).await, pair("logicalCluster", "lkc-1"));
    assert_eq!(extensions(true).await, pair("pool", "p"));
}

#[tokio::test]
async fn tokens_without_a_signature_are_made_here_as_the_settings_say() {
    let clock = Still::default();
    let config = settings(&[
        ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
        ("sasl.oauthbearer.config", "principal=amara lifeSeconds=600 extension_trace=7"),
    ]);
    let tokens = tokens_with(&config, None, &clock).expect("tokens");
    let first = tokens.get().await.expect("a token");
    assert!(first.value().ends_with('.'), "it has no signature");
    assert_eq!(first.extensions(), [("trace".to_owned(), "7".to_owned())]);
    clock.go_on(599);
    assert_ne!(tokens.get().await.expect("another").value(), first.value());
}

#[test]
fn there_is_one_source_of_tokens_and_not_none_or_two() {
    let clock = Still::default();
    let function = || -> Option<TokenFunction> { Some(Arc::new(|| Err("never".into()))) };
    let refused = |config: &SaslConfig, function| {
        tokens_with(config, function, &clock).err().expect("refused").to_string()
    };
    let none = refused(&settings(&[]), None);
    assert!(none.starts_with("sasl.oauthbearer.method: OAUTHBEARER needs tokens"), "{none}");
    let unsecured = settings(&[("enable.sasl.oauthbearer.unsecure.jwt", "true")]);
    assert!(refused(&unsecured, function()).contains("leave one of the two out"));
    let empty = refused(&unsecured, None);
    assert!(empty.starts_with("sasl.oauthbearer.config: "), "{empty}");
    let oidc = settings(&[
        ("sasl.oauthbearer.token.endpoint.url", "https://localhost/"),
        ("sasl.oauthbearer.client.id", "id"),
        ("sasl.oauthbearer.client.secret", CANARY),
    ]);
    let two = refused(&oidc, function());
    assert!(two.starts_with("sasl.oauthbearer.method: a function"), "{two}");
}

/// A build may leave identity providers out; it says so and does nothing else instead.
#[cfg(not(feature = "oidc"))]
#[test]
fn without_the_feature_an_identity_provider_is_refused_with_the_features_name() {
    let oidc = settings(&[
        ("sasl.oauthbearer.token.endpoint.url", "https://localhost/"),
        ("sasl.oauthbearer.client.id", "id"),
        ("sasl.oauthbearer.client.secret", CANARY),
    ]);
    let error = tokens_with(&oidc, None, &Still::default()).err().expect("refused").to_string();
    assert!(error.contains("the feature `oidc`"), "{error}");
}
