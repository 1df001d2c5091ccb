//! What is said in a session as people may see it: without passwords, nonces, digests and the addresses that let whoever knows them in.
use dmwsi_domain::known_tree::is_secret;
use dmwsi_objects::{AlertType, NodeUri};
use dmwsi_protocol::document::{Content, Document, Element};
use dmwsi_protocol::encoding::Encoding;
use serde_json::Value;

use super::incoming::PASS;
use crate::download;

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// The longest text or octets shown, in bytes.
const MAX_SHOWN: usize = 4_096;

/// The largest view of one message, in bytes; of a larger one the header is shown alone.
const MAX_VIEW: usize = 128 * 1024;

/// How deep elements lie at most that are shown: each is two levels of JSON, and what is kept is read again with 128 of them at most.
const MAX_SHOWN_DEPTH: usize = 48;

/// The view of a message, as far as it can be read.
pub(super) fn view(encoding: Encoding, body: &[u8]) -> Option<Value> {
    let mut document = Document::beginning(encoding, body)?;
    mask(&mut document.root, 1);
    let view = serde_json::to_value(&document).ok()?;
    if view.to_string().len() <= MAX_VIEW {
        return Some(view);
    }
    if let Content::Children(parts) = &mut document.root.content {
        parts.retain(|part| part.name == "SyncHdr");
    }
    serde_json::to_value(&document).ok().filter(|view| view.to_string().len() <= MAX_VIEW)
}

fn mask(element: &mut Element, depth: usize) {
    if depth > MAX_SHOWN_DEPTH {
        element.content = Content::Text("…".to_owned());
        return;
    }
    match element.name.as_str() {
        "Cred" => return hide_all_but_meta(element),
        "NextNonce" => return hide(element),
        _ => mask_items(element),
    }
    if matches!(element.content, Content::Octets(_)) && !matches!(element.name.as_str(), "Data" | "Value") {
        // Addresses are looked at as the session reads them, whatever control characters stand in them.
        element.content = Content::Text(text_of(element, &[]).unwrap_or_default());
    }
    match &mut element.content {
        Content::Children(children) => children.iter_mut().for_each(|child| mask(child, depth.saturating_add(1))),
        Content::Text(text) => shorten(text),
        Content::Octets(octets) => octets.truncate(MAX_SHOWN),
        Content::Empty => {}
    }
}

/// Hides the data of items that are about secret nodes, or of which nobody can say what they are about.
fn mask_items(command: &mut Element) {
    let outer = text_of(command, &["SourceRef"]).or_else(|| text_of(command, &["TargetRef"]));
    let is_answer = matches!(command.name.as_str(), "Results" | "Status");
    let outer_kind = kind_of(command);
    let Content::Children(children) = &mut command.content else { return };
    for item in children.iter_mut().filter(|child| child.name == "Item") {
        let own = ["Source", "Target"].into_iter().find_map(|side| text_of(item, &[side, "LocURI"]));
        let node = own.or_else(|| outer.clone()).and_then(|address| NodeUri::parse(address.trim()).ok());
        let kind = kind_of(item).or_else(|| outer_kind.clone());
        let tells_secret = kind.as_deref().is_some_and(|kind| AlertType::lenient(kind).is_secret());
        let hides = tells_secret || node.as_ref().map_or(is_answer, names_secret);
        // Some clients have no type for a tree, so that the question must tell.
        let asks_tree = |node: &NodeUri| node.question().is_some_and(|question| question.starts_with("list=TNDS"));
        let is_tree =
            kind.map_or_else(|| node.as_ref().is_some_and(asks_tree), |kind| kind.to_ascii_lowercase().contains("dmtnds"));
        let Content::Children(parts) = &mut item.content else { continue };
        for data in parts.iter_mut().filter(|part| part.name == "Data") {
            if hides { hide(data) } else { mask_tree(data, is_tree) }
        }
    }
}

/// The type of what an item or a command holds, wherever clients put it.
fn kind_of(element: &Element) -> Option<String> {
    [&["Meta", "Type"][..], &["Meta", "MetInf", "Type"], &["MetInf", "Type"], &["Type"]]
        .into_iter()
        .find_map(|path| text_of(element, path))
}

/// Whether the node, or one above it, is called like a secret.
fn names_secret(node: &NodeUri) -> bool {
    let mut at = NodeUri::parse(node.path()).ok();
    while let Some(one) = at {
        if is_secret(&one) {
            return true;
        }
        at = one.parent();
    }
    false
}

/// Opens a serialised tree and hides the secrets in it; one that cannot be opened is hidden whole.
fn mask_tree(data: &mut Element, is_tree: bool) {
    let looks_like = |text: &str| ["<MgmtTree", "<Node", "</Value", "<Value"].iter().any(|part| text.contains(part));
    let octets = match &data.content {
        Content::Text(text) => text.as_bytes(),
        Content::Octets(octets) => octets,
        Content::Children(_) | Content::Empty => &[],
    };
    let is_tree = !octets.is_empty() && (is_tree || std::str::from_utf8(octets).is_ok_and(looks_like));
    match is_tree.then(|| Document::decode(Encoding::sniff(octets, None), octets).ok()) {
        Some(Some(tree)) => data.content = Content::Children(vec![tree.root]),
        Some(None) => return hide(data),
        None => {}
    }
    if let Content::Children(children) = &mut data.content {
        children.iter_mut().for_each(|child| mask_node(child, false));
    }
}

fn mask_node(element: &mut Element, is_within: bool) {
    let name = if element.name == "Node" { text_of(element, &["NodeName"]) } else { None };
    let path = if element.name == "Node" { text_of(element, &["Path"]) } else { None };
    let is_named = |text: &str| NodeUri::parse(text.trim()).is_ok_and(|node| names_secret(&node));
    let hides = is_within || [name, path].into_iter().flatten().any(|text| is_named(&text));
    let Content::Children(children) = &mut element.content else { return };
    for child in children {
        match child.name.as_str() {
            "Value" if hides => hide(child),
            _ => mask_node(child, hides),
        }
    }
}

fn hide_all_but_meta(credentials: &mut Element) {
    match &mut credentials.content {
        Content::Children(children) => children.iter_mut().filter(|child| child.name != "Meta").for_each(hide),
        _ => hide(credentials),
    }
}

fn hide(element: &mut Element) {
    if element.content != Content::Empty {
        element.content = Content::Text(HIDDEN.to_owned());
    }
}

fn text_of(element: &Element, path: &[&str]) -> Option<String> {
    element.text(path).map(std::borrow::Cow::into_owned)
}

/// Takes out of a text what lets in whoever knows it, and cuts it.
fn shorten(text: &mut String) {
    for mark in [format!("?{PASS}="), format!("&{PASS}="), format!("{}/", download::PATH)] {
        if let Some(at) = text.find(&mark) {
            let (before, rest) = text.split_at(at.saturating_add(mark.len()));
            let secret = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.~%".contains(c))).unwrap_or(rest.len());
            let (_, after) = rest.split_at(secret);
            *text = format!("{before}{HIDDEN}{after}");
        }
    }
    if text.len() > MAX_SHOWN {
        let (length, end) = (text.len(), (0..=MAX_SHOWN).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0));
        text.truncate(end);
        text.push_str(&format!("… ({length} bytes)"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(header: &str, body: &str) -> String {
        format!("<SyncML><SyncHdr><VerDTD>1.2</VerDTD>{header}</SyncHdr><SyncBody>{body}</SyncBody></SyncML>")
    }

    fn item(verb: &str, node: &str, data: &str) -> String {
        format!("<{verb}><CmdID>1</CmdID><Item><Target><LocURI>{node}</LocURI></Target><Data>{data}</Data></Item></{verb}>")
    }

    #[track_caller]
    fn hides(text: &str) {
        for encoding in [Encoding::Xml, Encoding::Wbxml] {
            let body = Document::decode(Encoding::Xml, text.as_bytes()).unwrap().encode(encoding).unwrap();
            let view = view(encoding, &body).unwrap().to_string();
            assert!(!view.contains("hidden-word"), "{view}");
            assert!(view.contains(HIDDEN), "{view}");
        }
    }

    #[test]
    fn credentials_nonces_and_passes_are_hidden() {
        hides(&message("<Cred><Meta><Type>syncml:auth-basic</Type></Meta><Data>hidden-word</Data></Cred>", ""));
        hides(&message("<Cred>hidden-word</Cred>", ""));
        hides(&message("<Cred><Item><Data>hidden-word</Data></Item></Cred>", ""));
        hides(&message("<RespURI>https://dm.example/dm?s=hidden-word</RespURI>", ""));
        hides(&message("<Target><LocURI>https://dm.example/dm?mode=a&amp;s=hidden-word</LocURI></Target>", ""));
        let chal = "<Chal><Meta><NextNonce>hidden-word</NextNonce></Meta></Chal>";
        hides(&message(
            "",
            &format!("<Status><CmdID>1</CmdID><TargetRef>https://dm.example/dm?s=hidden-word</TargetRef>{chal}</Status>"),
        ));
        hides(&message("", &item("Replace", "./FUMO/PkgURL", &format!("https://dm.example{}/hidden-word", download::PATH))));
    }

    #[test]
    fn what_secret_nodes_hold_is_hidden_wherever_it_stands() {
        hides(&message("", &item("Replace", "./DMAcc/1/AppAuth/C/AAuthSecret", "hidden-word")));
        hides(&message("", &item("Exec", "./Vendor/Secrets/Now", "hidden-word")));
        hides(&message("", &item("Put", "./Wifi/Password", "hidden-word")));
        let atomic = format!("<Atomic><CmdID>1</CmdID>{}</Atomic>", item("Add", "./Wifi/Password", "hidden-word"));
        hides(&message("", &atomic));
        hides(&message(
            "",
            "<Results><CmdID>1</CmdID><Item><Source><LocURI>./Sim/PIN</LocURI></Source><Data>hidden-word</Data></Item></Results>",
        ));
        // What is answered without a name may be anything: what a user typed, or a password.
        hides(&message("", "<Results><CmdID>1</CmdID><Item><Data>hidden-word</Data></Item></Results>"));
        hides(&message("", "<Status><CmdID>1</CmdID><Item><Data>hidden-word</Data></Item></Status>"));
    }

    #[test]
    fn serialised_trees_are_opened_or_hidden_whole() {
        let tree = "<MgmtTree><VerDTD>1.2</VerDTD><Node><NodeName>C</NodeName><Node><NodeName>AAuthSecret</NodeName><Value>hidden-word</Value></Node>\
            <Node><NodeName>AAuthName</NodeName><Value>plain-word</Value></Node></Node></MgmtTree>";
        let plain = message("", &item("Add", "./DMAcc/1", &format!("<![CDATA[{tree}]]>")));
        hides(&plain);
        assert!(view(Encoding::Xml, plain.as_bytes()).unwrap().to_string().contains("plain-word"));
        hides(&message("", &item("Add", "./DMAcc/1", tree)));
        hides(&message("", &item("Add", "./DMAcc/1", "<![CDATA[dden</NodeName><Value>hidden-word</Value></No]]>")));
    }

    #[test]
    fn what_windows_tells_of_who_is_logged_on_is_hidden() {
        let kind = "<Type xmlns=\"syncml:metinf\">com.microsoft/MDM/AADUserToken</Type>";
        for meta in [format!("<Meta>{kind}</Meta>"), kind.to_owned(), format!("<Meta><MetInf>{kind}</MetInf></Meta>")] {
            let item = format!("<Item>{meta}<Data>hidden-word</Data></Item>");
            hides(&message("", &format!("<Alert><CmdID>2</CmdID><Data>1224</Data>{item}</Alert>")));
        }
    }

    /// Every text that ends with a `#` as octets with a control character in that place.
    fn with_controls(element: &mut Element) {
        match &mut element.content {
            Content::Children(children) => children.iter_mut().for_each(with_controls),
            Content::Text(text) => {
                if let Some(text) = text.strip_suffix('#') {
                    element.content = Content::Octets([text.as_bytes(), b"\x01"].concat());
                }
            }
            Content::Empty | Content::Octets(_) => {}
        }
    }

    #[test]
    fn control_characters_in_a_name_or_an_address_hide_it_from_nobody() {
        let kind = "<Meta><Type xmlns=\"syncml:metinf\">com.microsoft/MDM/AADUserToken#</Type></Meta>";
        for (header, body) in [
            ("<RespURI>https://dm.example/dm?s=hidden-word#</RespURI>", String::new()),
            ("", item("Replace", "./Wifi/Password#", "hidden-word")),
            ("", format!("<Alert><CmdID>2</CmdID><Data>1226</Data><Item>{kind}<Data>hidden-word</Data></Item></Alert>")),
        ] {
            let mut document = Document::decode(Encoding::Xml, message(header, &body).as_bytes()).unwrap();
            with_controls(&mut document.root);
            let view = view(Encoding::Wbxml, &document.encode(Encoding::Wbxml).unwrap()).unwrap().to_string();
            assert!(!view.contains("hidden-word") && view.contains(HIDDEN), "{view}");
        }
    }

    #[test]
    fn what_lies_very_deep_is_left_out() {
        let deep = format!("{}x{}", "<Atomic>".repeat(60), "</Atomic>".repeat(60));
        let view = view(Encoding::Xml, message("", &deep).as_bytes()).unwrap().to_string();
        assert!(view.contains('…') && serde_json::from_str::<Value>(&view).is_ok(), "{view}");
    }

    #[test]
    fn what_is_no_secret_is_shown_and_cut_where_it_is_long() {
        let shown = |body: &str| view(Encoding::Xml, message("", body).as_bytes()).unwrap().to_string();
        assert!(shown(&item("Replace", "./Vendor/Text", "plain-word")).contains("plain-word"));
        let long = shown(&item("Replace", "./Vendor/Text", &"x".repeat(10_000)));
        assert!(long.len() < 5_000 && long.contains("(10000 bytes)"));
        let many = shown(&(0..100).map(|_| item("Replace", "./Vendor/Text", &"x".repeat(4_000))).collect::<String>());
        assert!(many.contains("SyncHdr") && many.len() < MAX_VIEW);
        assert_eq!(view(Encoding::Xml, b"garbage"), None);
    }
}
