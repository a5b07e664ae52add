//! What is written down of Kafka's behaviour, checked against Kafka's own code.

use ottla_tests::{golden, needs};

#[test]
fn java_still_sends_keys_where_the_golden_file_says() {
    let now = needs!(golden::from_java());
    if std::env::var_os("OTTLA_TEST_GOLDEN").is_some_and(|wish| wish == "write") {
        let file = ottla_tests::tools::here().join("golden/murmur2.txt");
        std::fs::write(file, &now).expect("written");
    }
    assert!(now == golden::text(), "set OTTLA_TEST_GOLDEN=write to write the file anew");
}
