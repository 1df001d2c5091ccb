//! The Push Access Protocol (WAP-247-PAP): package 0 on its way to a push proxy gateway, and what that says to it.
use super::CONTENT_TYPE;
use crate::document::{Content, Document, Element};
use crate::encoding::Encoding;
use crate::percent::escaped;

/// What stands before the control entity.
const PROLOG: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?>"#,
    r#"<!DOCTYPE pap PUBLIC "-//WAPFORUM//DTD PAP 2.0//EN" "http://www.wapforum.org/DTD/pap_2.0.dtd">"#
);

/// The gateway does not take pushes of this server.
const FORBIDDEN: u16 = 2_001;

/// The gateway has had a push of that id.
const DUPLICATE: u16 = 2_007;

/// The gateway has failed.
const INTERNAL_ERROR: u16 = 3_000;

/// A push that is submitted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Submission<'a> {
    /// What the gateway tells it from others by, unique in the world: letters, digits and hyphens before an `@` and the name of whoever submits it.
    pub push_id: &'a str,
    /// The client as the gateway knows it; a phone number begins with a plus sign.
    pub client: &'a str,
    /// The gateway's own name.
    pub gateway: &'a str,
    /// The package 0.
    pub package: &'a [u8],
}

impl Submission<'_> {
    /// The content type of the request.
    #[must_use]
    pub fn content_type(&self) -> String {
        format!(r#"multipart/related; boundary="{}"; type="application/xml""#, self.boundary())
    }

    /// The body of the request: the control entity, and the package as it is.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let boundary = self.boundary();
        let head = format!(
            "--{boundary}\r\nContent-Type: application/xml\r\n\r\n{PROLOG}{}\r\n\
            --{boundary}\r\nContent-Type: {CONTENT_TYPE}\r\nX-Wap-Application-Id: x-wap-application:syncml.dm\r\n\
            Content-Transfer-Encoding: binary\r\n\r\n",
            self.control()
        );
        [head.as_bytes(), self.package, format!("\r\n--{boundary}--\r\n").as_bytes()].concat()
    }

    fn control(&self) -> String {
        // Nobody is told that it arrived: the device tells by calling.
        format!(
            r#"<pap><push-message push-id="{}"><address address-value="{}"/><quality-of-service priority="medium" delivery-method="unconfirmed"/></push-message></pap>"#,
            escaped(self.push_id, |c| c.is_ascii_alphanumeric() || b"-._@".contains(&c)),
            self.address()
        )
    }

    /// The client's address (WAP-249-PPGService, 7.1).
    fn address(&self) -> String {
        let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"-._".contains(&c);
        let gateway = escaped(self.gateway, |c| is_plain(c) || b"[]:".contains(&c));
        match self.client.strip_prefix('+') {
            Some(digits) if digits.bytes().all(|c| c.is_ascii_digit()) => format!("WAPPUSH=+{digits}/TYPE=PLMN@{gateway}"),
            _ => format!("WAPPUSH={}/TYPE=USER@{gateway}", escaped(self.client, is_plain)),
        }
    }

    /// A line that does not stand in the package, since it is made of an id that nobody has known before.
    fn boundary(&self) -> String {
        let id = self.push_id.split('@').next().unwrap_or_default();
        format!("push-{}", id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(60).collect::<String>())
    }
}

/// What a gateway says to a push.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Response {
    /// It has taken it (1xxx), or had done so before (2007).
    Accepted(u16),
    /// It would say so again: the request, the address or the content is wrong (2xxx), or it cannot do that (3001 and above).
    Refused(u16),
    /// It cannot do it now: its own service fails or is busy (3000, 4xxx), the client was out of reach (5xxx), or it does not let this server in
    /// (2001), which its own settings may be to blame for.
    Failed(u16),
}

impl Response {
    /// Reads the body of an answer. None where it says nothing of a push.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let root = Document::decode(Encoding::Xml, body).ok()?.root;
        let code = code(&root)?.trim().parse().ok()?;
        match code {
            1_000..=1_999 | DUPLICATE => Some(Self::Accepted(code)),
            FORBIDDEN | INTERNAL_ERROR | 4_000..=5_999 => Some(Self::Failed(code)),
            2_000..=3_999 => Some(Self::Refused(code)),
            _ => None,
        }
    }
}

/// The code of the result that is told first.
fn code(element: &Element) -> Option<&str> {
    if matches!(element.name.as_str(), "response-result" | "badmessage-response") {
        return element.attributes.iter().find(|(name, _)| name == "code").map(|(_, value)| value.as_str());
    }
    match &element.content {
        Content::Children(children) => children.iter().find_map(code),
        Content::Empty | Content::Octets(_) | Content::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S-NT-01: headers, control entity and package, each in its place.
    #[test]
    fn a_push_is_a_control_entity_and_the_package() {
        let push = Submission {
            push_id: "42-a@dm.example",
            client: "+491711234567",
            gateway: "ppg.operator.example",
            package: b"\x00--\r\n\xFF",
        };
        assert_eq!(push.content_type(), r#"multipart/related; boundary="push-42-a"; type="application/xml""#);
        let expected = concat!(
            "--push-42-a\r\nContent-Type: application/xml\r\n\r\n",
            r#"<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE pap PUBLIC "-//WAPFORUM//DTD PAP 2.0//EN" "http://www.wapforum.org/DTD/pap_2.0.dtd">"#,
            r#"<pap><push-message push-id="42-a@dm.example"><address address-value="WAPPUSH=+491711234567/TYPE=PLMN@ppg.operator.example"/>"#,
            r#"<quality-of-service priority="medium" delivery-method="unconfirmed"/></push-message></pap>"#,
            "\r\n--push-42-a\r\nContent-Type: application/vnd.syncml.notification\r\n",
            "X-Wap-Application-Id: x-wap-application:syncml.dm\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        );
        assert_eq!(push.body(), [expected.as_bytes(), b"\x00--\r\n\xFF\r\n--push-42-a--\r\n"].concat());
    }

    #[test]
    fn no_address_of_a_client_leaves_its_place() {
        let push = Submission { push_id: "1@a", client: "http://a/\"><b>&/TYPE=PLMN@", gateway: "[::1]", package: b"" };
        assert_eq!(push.address(), "WAPPUSH=http%3A%2F%2Fa%2F%22%3E%3Cb%3E%26%2FTYPE%3DPLMN%40/TYPE=USER@[::1]");
        let push = Submission { client: "+49/TYPE", push_id: "\"<>@a\r\nb", ..push };
        assert!(push.address().starts_with("WAPPUSH=%2B49%2FTYPE/TYPE=USER@"));
        assert!(push.control().contains(r#"push-id="%22%3C%3E@a%0D%0Ab""#) && push.boundary() == "push-");
    }

    /// S-NT-01
    #[test]
    fn a_response_is_its_code() {
        let says = |code: &str| {
            let pap = format!(
                "<?xml version=\"1.0\"?><!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://www.wapforum.org/DTD/pap_2.0.dtd\">\n\
                <pap product-name=\"PPG\">\n <push-response push-id=\"1@a\" reply-time=\"2026-01-01T00:00:00Z\">\n  <progress stage=\"0\"/>\n  \
                <response-result code=\"{code}\" desc=\"d\">\n</response-result></push-response></pap>"
            );
            Response::read(pap.as_bytes())
        };
        assert_eq!(says("1000"), Some(Response::Accepted(1000)));
        assert_eq!(says("1001"), Some(Response::Accepted(1001)));
        assert_eq!(says("2007"), Some(Response::Accepted(2007)));
        for lasting in [2000, 2002, 2003, 2005, 2006, 2008, 3001, 3002, 3011, 3999] {
            assert_eq!(says(&lasting.to_string()), Some(Response::Refused(lasting)));
        }
        for passing in [2001, 3000, 4000, 4001, 5000] {
            assert_eq!(says(&passing.to_string()), Some(Response::Failed(passing)));
        }
        for wrong in ["", "999", "6000", "70000", "-1", "x"] {
            assert_eq!(says(wrong), None, "{wrong}");
        }
        let bad = br#"<pap><badmessage-response code="2000" desc="what?" bad-message-fragment="x"/></pap>"#;
        assert_eq!(Response::read(bad), Some(Response::Refused(2000)));
        for wrong in [&b""[..], b"OK", b"<pap/>", b"<pap><push-response/></pap>", b"<pap>", b"\xFF\x00"] {
            assert_eq!(Response::read(wrong), None);
        }
    }
}
