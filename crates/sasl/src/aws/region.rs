//! The region, which a signature is for, out of a broker's name.

/// How the names of AWS's servers end: those of its partitions.
const SUFFIXES: [&str; 7] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".c2s.ic.gov",
    ".sc2s.sgov.gov",
    ".cloud.adc-e.uk",
    ".csp.hci.ic.gov",
];

/// The AWS region that a broker's name tells, if it is one of AWS's own names.
///
/// ```
/// use ottla_sasl::region_of;
///
/// let host = "b-1.orders.x1y2z3.c2.kafka.eu-west-1.amazonaws.com";
/// assert_eq!(region_of(host), Some("eu-west-1"));
/// assert_eq!(region_of("kafka.example.com"), None);
/// ```
#[must_use]
pub fn region_of(host: &str) -> Option<&str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let rest = SUFFIXES.iter().find_map(|suffix| host.strip_suffix(suffix))?;
    let (_, region) = rest.rsplit_once('.')?;
    let known = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    // All regions have a dash in their names, services and account ids mostly have none.
    (region.contains('-') && region.bytes().all(known)).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_read_from_names_of_aws_and_from_no_others() {
        for (host, region) in [
            ("b-1.xx.yyy.c2.kafka.us-east-1.amazonaws.com", Some("us-east-1")),
            ("boot-abc.c1.kafka-serverless.eu-central-1.amazonaws.com", Some("eu-central-1")),
            ("b-2-public.xx.yyy.c2.kafka.us-gov-west-1.amazonaws.com.", Some("us-gov-west-1")),
            ("b-1.xx.yyy.c2.kafka.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("b-1.xx.c2.kafka.us-iso-east-1.c2s.ic.gov", Some("us-iso-east-1")),
            ("b-1.xx.c2.kafka.us-isob-east-1.sc2s.sgov.gov", Some("us-isob-east-1")),
            ("kafka.amazonaws.com", None),
            ("amazonaws.com", None),
            ("us-east-1.amazonaws.com.example.org", None),
            ("b-1.US-EAST-1.amazonaws.com", None),
            ("localhost", None),
            ("", None),
        ] {
            assert_eq!(region_of(host), region, "{host}");
        }
    }
}
