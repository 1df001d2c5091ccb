//! The download descriptor and the install notification (OMA Download over the Air 1.0): what is to be fetched, and what became of it.
use std::str::FromStr;

use quick_xml::escape::escape;

use crate::encoding::{DecodeError, Pull as _, Tag, is_kept};
use crate::xml::{Reader, place, text};

/// The media type of a descriptor.
pub const MEDIA_TYPE: &str = "application/vnd.oma.dd+xml";

/// The version of descriptors that is written, and the one that every client reads.
pub const VERSION: &str = "1.0";

/// A descriptor. What is not told is empty.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Descriptor {
    /// What it is called.
    pub name: String,
    /// Who made it.
    pub vendor: String,
    /// A sentence about it, such as its version.
    pub description: String,
    /// The media types of the object, at least one.
    pub types: Vec<String>,
    /// The length of the object, in bytes.
    pub size: u64,
    /// Where the object is.
    pub object: String,
    /// Where to tell what became of it.
    pub install_notify: String,
    /// The version of the descriptor itself; one that has another first number than ours cannot be relied on.
    pub version: String,
}

impl Descriptor {
    /// The descriptor as XML.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<media xmlns=\"http://www.openmobilealliance.org/xmlns/dd\">\n",
        );
        let size = self.size.to_string();
        let types = self.types.iter().map(|kind| ("type", kind.as_str()));
        let all = [("DDVersion", VERSION), ("name", &self.name)].into_iter().chain(types).chain([
            ("size", size.as_str()),
            ("objectURI", &self.object),
            ("vendor", &self.vendor),
            ("description", &self.description),
            ("installNotifyURI", &self.install_notify),
        ]);
        for (name, value) in all.filter(|(_, value)| !value.is_empty()) {
            // What XML cannot hold is left away.
            let clean: String = value.chars().filter(|one| is_kept(*one)).collect();
            out.push_str(&format!(" <{name}>{}</{name}>\n", escape(&clean)));
        }
        out.push_str("</media>\n");
        out
    }

    /// Reads a descriptor; elements that it does not know are passed over. None where there is no object, type or size to speak of.
    pub fn decode(body: &[u8]) -> Result<Option<Self>, DecodeError> {
        Self::read(Reader::new(&text(body))).map_err(|error| error.moved(|at| place(body, at)))
    }

    fn read(mut reader: Reader<'_>) -> Result<Option<Self>, DecodeError> {
        let mut read = Self::default();
        let mut size = None;
        if reader.child()?.is_none() {
            return Ok(None);
        }
        while let Some(tag) = reader.child()? {
            let name = if tag == Tag::Other { reader.other().to_owned() } else { String::new() };
            let value = reader.text()?;
            match name.as_str() {
                "DDVersion" => read.version = value,
                "name" => read.name = value,
                "vendor" => read.vendor = value,
                "description" => read.description = value,
                "type" => read.types.push(value),
                "size" => size = value.parse().ok(),
                "objectURI" => read.object = value,
                "installNotifyURI" => read.install_notify = value,
                _ => {}
            }
        }
        let Some(size) = size else { return Ok(None) };
        read.size = size;
        Ok(Some(read).filter(|read| !read.object.is_empty() && !read.types.is_empty()))
    }
}

/// What became of a download, as its device tells by an install notification (DLOTA 1.0, table 1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InstallStatus {
    /// The code, 900 to 999.
    pub code: u16,
    /// What stands beside it.
    pub text: String,
}

impl InstallStatus {
    /// It was fetched and can be used.
    pub const SUCCESS: u16 = 900;
    /// The device has no room for it.
    pub const INSUFFICIENT_MEMORY: u16 = 901;
    /// The user did not want it.
    pub const USER_CANCELLED: u16 = 902;
    /// The network went away.
    pub const LOSS_OF_SERVICE: u16 = 903;
    /// It is not what the descriptor said.
    pub const ATTRIBUTE_MISMATCH: u16 = 905;
    /// The descriptor cannot be read.
    pub const INVALID_DESCRIPTOR: u16 = 906;
    /// The device gave up.
    pub const DEVICE_ABORTED: u16 = 952;
    /// The device has no use for it.
    pub const NON_ACCEPTABLE_CONTENT: u16 = 953;

    /// A status with the words that the specification gives its code.
    #[must_use]
    pub fn new(code: u16) -> Self {
        let text = match code {
            Self::SUCCESS => "Success",
            Self::INSUFFICIENT_MEMORY => "Insufficient memory",
            Self::USER_CANCELLED => "User Cancelled",
            Self::LOSS_OF_SERVICE => "Loss of Service",
            Self::ATTRIBUTE_MISMATCH => "Attribute mismatch",
            Self::INVALID_DESCRIPTOR => "Invalid descriptor",
            951 => "Invalid DDVersion",
            Self::DEVICE_ABORTED => "Device Aborted",
            Self::NON_ACCEPTABLE_CONTENT => "Non-Acceptable Content",
            954 => "Loader Error",
            _ => "",
        };
        Self { code, text: text.to_owned() }
    }

    /// The body of the notification.
    #[must_use]
    pub fn encode(&self) -> String {
        format!("{} {}\r\n", self.code, self.text)
    }
}

/// The text is no status line.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the first line is no status from 900 to 999")]
pub struct MalformedStatus;

impl FromStr for InstallStatus {
    type Err = MalformedStatus;

    /// Reads the first line; what vendors write into further ones is passed over.
    fn from_str(body: &str) -> Result<Self, MalformedStatus> {
        let line = body.trim_start().lines().next().unwrap_or_default();
        let (code, text) = line.split_at_checked(3).ok_or(MalformedStatus)?;
        let code = code.parse().ok().filter(|code| (900..=999).contains(code)).ok_or(MalformedStatus)?;
        if text.starts_with(|next: char| next.is_ascii_digit()) {
            return Err(MalformedStatus);
        }
        Ok(Self { code, text: text.trim().chars().filter(|one| !one.is_control()).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_read_as_it_was_written() {
        let descriptor = Descriptor {
            name: "Firmware <42> & more".to_owned(),
            vendor: "Acme".to_owned(),
            description: "version 42\u{1}".to_owned(),
            types: vec!["application/octet-stream".to_owned()],
            size: 1_048_576,
            object: "https://dl.example/fw?a=1&b=2".to_owned(),
            install_notify: "https://dl.example/notify".to_owned(),
            version: VERSION.to_owned(),
        };
        let written = descriptor.encode();
        assert!(written.contains("<name>Firmware &lt;42&gt; &amp; more</name>"), "{written}");
        let read = Descriptor::decode(written.as_bytes()).unwrap().unwrap();
        assert_eq!(read, Descriptor { description: "version 42".to_owned(), ..descriptor });
    }

    #[test]
    fn a_descriptor_without_its_object_is_none() {
        let of = |inner: &str| Descriptor::decode(format!("<media>{inner}</media>").as_bytes()).unwrap();
        assert!(of("<type>a/b</type><size>1</size><objectURI>x</objectURI><nextURL/><x><y>1</y></x>").is_some());
        for wanting in ["<size>1</size><objectURI>x</objectURI>", "<type>a/b</type><objectURI>x</objectURI>", "<type>a/b</type>"]
        {
            assert_eq!(of(wanting), None, "{wanting}");
        }
        assert!(Descriptor::decode(b"<media><type>").is_err());
    }

    #[test]
    fn a_status_is_its_first_line() {
        assert_eq!("900 Success\r\n".parse(), Ok(InstallStatus::new(900)));
        assert_eq!("902 User Cancelled\r\nIMEI=1".parse(), Ok(InstallStatus::new(902)));
        assert_eq!(InstallStatus::new(953).encode().parse(), Ok(InstallStatus::new(953)));
        assert_eq!("970".parse::<InstallStatus>().unwrap().text, "");
        for wrong in ["", "Success", "899 x", "1000 x", "90", "9000 x", "é00"] {
            assert_eq!(wrong.parse::<InstallStatus>(), Err(MalformedStatus), "{wrong}");
        }
    }
}
