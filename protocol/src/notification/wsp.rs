//! The header of a WAP push without a connection (WAP-230-WSP, 8.2.4.1) before package 0.
use super::cursor::Cursor;
use super::{CONTENT_TYPE, NotificationError};

/// The PDU type `Push`.
const PUSH: u8 = 0x06;
/// `application/vnd.syncml.notification` as a short integer.
const SHORT_CONTENT_TYPE: u8 = 0x80 | 0x44;
/// The header X-WAP-Application-ID as a short integer.
const APPLICATION: u8 = 0x80 | 0x2F;
/// `x-wap-application:syncml.dm` as a short integer.
const SHORT_APPLICATION_ID: u8 = 0x80 | 0x07;
/// The same as text.
const APPLICATION_ID: &str = "x-wap-application:syncml.dm";
/// The name of the header as text.
const APPLICATION_NAME: &str = "x-wap-application-id";

/// How content type and application are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Form {
    /// As numbers: six bytes in all.
    #[default]
    Short,
    /// As text: 67 bytes, for a gateway or client that knows none of the numbers.
    Long,
}

/// A push of package 0.
#[must_use]
pub fn push(form: Form, transaction: u8, package: &[u8]) -> Vec<u8> {
    let headers = match form {
        Form::Short => vec![SHORT_CONTENT_TYPE, APPLICATION, SHORT_APPLICATION_ID],
        Form::Long => [CONTENT_TYPE.as_bytes(), &[0, APPLICATION], APPLICATION_ID.as_bytes(), &[0]].concat(),
    };
    // Both lengths are below 128, so that one byte holds them.
    let length = u8::try_from(headers.len()).unwrap_or(u8::MAX);
    [&[transaction, PUSH, length][..], &headers, package].concat()
}

/// The package 0 of a push, however its headers are written.
pub fn read(bytes: &[u8]) -> Result<&[u8], NotificationError> {
    let mut cursor = Cursor::new(bytes);
    cursor.byte()?;
    if cursor.byte()? != PUSH {
        return Err(NotificationError::Malformed { at: 1 });
    }
    let length = cursor.number()?;
    let mut headers = Cursor::new(cursor.take(length)?);
    if !is_notification(&mut headers)? || !has_application(&mut headers)? {
        return Err(NotificationError::Foreign);
    }
    Ok(cursor.rest())
}

/// Whether the content type that comes first is that of package 0.
fn is_notification(headers: &mut Cursor<'_>) -> Result<bool, NotificationError> {
    let value = value(headers)?;
    // With parameters the type is the first thing within (WAP-230-WSP, 8.4.2.24).
    let inner = match value {
        Value::Data(data) => self::value(&mut Cursor::new(data))?,
        plain => plain,
    };
    Ok(match inner {
        Value::Short(number) => number == SHORT_CONTENT_TYPE,
        Value::Text(text) => text.split(|byte| *byte == b';').next().is_some_and(|text| is(text, CONTENT_TYPE)),
        Value::Data(_) => false,
    })
}

/// Whether one of the headers names device management as the application.
fn has_application(headers: &mut Cursor<'_>) -> Result<bool, NotificationError> {
    while let Some(first) = headers.peek() {
        let is_application =
            if first & 0x80 == 0 { is(headers.text()?, APPLICATION_NAME) } else { headers.byte()? == APPLICATION };
        let fits = match value(headers)? {
            Value::Short(number) => number == SHORT_APPLICATION_ID,
            Value::Text(text) => is(text, APPLICATION_ID),
            Value::Data(data) => data == [SHORT_APPLICATION_ID & 0x7F],
        };
        if is_application {
            return Ok(fits);
        }
    }
    Ok(false)
}

/// The value of a header (WAP-230-WSP, 8.4.1.2).
enum Value<'a> {
    /// A single byte with its highest bit set.
    Short(u8),
    /// Text.
    Text(&'a [u8]),
    /// Bytes of a length that stands before them.
    Data(&'a [u8]),
}

fn value<'a>(headers: &mut Cursor<'a>) -> Result<Value<'a>, NotificationError> {
    match headers.peek() {
        Some(0..=30) => {
            let length = usize::from(headers.byte()?);
            headers.take(length).map(Value::Data)
        }
        Some(31) => {
            headers.byte()?;
            let length = headers.number()?;
            headers.take(length).map(Value::Data)
        }
        Some(32..=127) => headers.text().map(Value::Text),
        Some(128..) | None => headers.byte().map(Value::Short),
    }
}

fn is(text: &[u8], name: &str) -> bool {
    text.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_has_the_bytes_of_the_specification() {
        assert_eq!(push(Form::Short, 1, b"zero"), b"\x01\x06\x03\xC4\xAF\x87zero");
    }

    #[test]
    fn the_long_form_spells_content_type_and_application() {
        let expected = b"\x07\x06\x41application/vnd.syncml.notification\0\xAFx-wap-application:syncml.dm\0zero";
        assert_eq!(push(Form::Long, 7, b"zero"), expected);
    }

    #[test]
    fn a_push_is_read_however_its_headers_are_written() {
        for bytes in [
            push(Form::Short, 0, b"zero"),
            push(Form::Long, 255, b"zero"),
            b"\x01\x06\x06\x03\xC4\x81\xEA\xAF\x87zero".to_vec(),
            b"\x01\x06\x18\xC4X-Wap-Application-Id\0\x01\x07zero".to_vec(),
            b"\x01\x06\x80\x05\xC4\xB4\x84\xAF\x87zero".to_vec(),
        ] {
            assert_eq!(read(&bytes), Ok(&b"zero"[..]), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_push_for_somebody_else_is_not_read() {
        for bytes in [&b"\x01\x06\x03\xB0\xAF\x87"[..], b"\x01\x06\x03\xC4\xAF\x82", b"\x01\x06\x01\xC4"] {
            assert_eq!(read(bytes), Err(NotificationError::Foreign), "{bytes:02x?}");
        }
        assert_eq!(read(b"\x01\x04\x01\xC4"), Err(NotificationError::Malformed { at: 1 }));
        assert_eq!(read(b"\x01\x06\x90\x80\x80\x80\x80\x80"), Err(NotificationError::Malformed { at: 2 }));
    }

    #[test]
    fn a_push_cut_off_within_its_header_is_not_read() {
        for form in [Form::Short, Form::Long] {
            let whole = push(form, 1, b"");
            for length in 0..whole.len() {
                assert!(matches!(read(&whole[..length]), Err(NotificationError::Truncated { .. })), "{length}");
            }
        }
    }
}
