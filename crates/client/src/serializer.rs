//! From typed keys and values to bytes.

use std::fmt;

/// Why a value has no bytes.
#[derive(Debug)]
pub struct SerializeError(Box<dyn std::error::Error + Send + Sync>);

impl SerializeError {
    /// An error with this cause; a string will do.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for SerializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot serialize: {}", self.0)
    }
}

impl std::error::Error for SerializeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

/// Turns a `T` into bytes. Closures of the same shape are serializers, too.
pub trait Serializer<T: ?Sized>: Send + Sync {
    /// Appends the bytes of `value` to `out`.
    ///
    /// # Errors
    /// The value has no bytes in this format.
    fn serialize(&self, topic: &str, value: &T, out: &mut Vec<u8>) -> Result<(), SerializeError>;
}

impl<T: ?Sized, F> Serializer<T> for F
where
    F: Fn(&str, &T, &mut Vec<u8>) -> Result<(), SerializeError> + Send + Sync,
{
    fn serialize(&self, topic: &str, value: &T, out: &mut Vec<u8>) -> Result<(), SerializeError> {
        self(topic, value, out)
    }
}

/// Text as UTF-8.
#[derive(Clone, Copy, Debug, Default)]
pub struct Utf8;

impl<T: AsRef<str> + ?Sized> Serializer<T> for Utf8 {
    fn serialize(&self, _topic: &str, value: &T, out: &mut Vec<u8>) -> Result<(), SerializeError> {
        out.extend_from_slice(value.as_ref().as_bytes());
        Ok(())
    }
}

/// Bytes as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl<T: AsRef<[u8]> + ?Sized> Serializer<T> for Raw {
    fn serialize(&self, _topic: &str, value: &T, out: &mut Vec<u8>) -> Result<(), SerializeError> {
        out.extend_from_slice(value.as_ref());
        Ok(())
    }
}

/// Numbers, most significant byte first: what Java's `IntegerSerializer`, `LongSerializer`,
/// `ShortSerializer`, `FloatSerializer` and `DoubleSerializer` write.
#[derive(Clone, Copy, Debug, Default)]
pub struct BigEndian;

macro_rules! big_endian {
    ($($number:ty),*) => {$(
        impl Serializer<$number> for BigEndian {
            fn serialize(
                &self,
                _topic: &str,
                value: &$number,
                out: &mut Vec<u8>,
            ) -> Result<(), SerializeError> {
                out.extend_from_slice(&value.to_be_bytes());
                Ok(())
            }
        }
    )*};
}

big_endian!(i8, i16, i32, i64, i128, u8, u16, u32, u64, u128, f32, f64);

/// Anything that serde knows, as compact JSON.
#[cfg(feature = "json")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

#[cfg(feature = "json")]
impl<T: serde::Serialize + ?Sized> Serializer<T> for Json {
    fn serialize(&self, _topic: &str, value: &T, out: &mut Vec<u8>) -> Result<(), SerializeError> {
        serde_json::to_writer(out, value).map_err(SerializeError::new)
    }
}
