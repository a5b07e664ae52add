//! The client's half of the SASL mechanisms that Kafka brokers speak. Bytes in, bytes out.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
