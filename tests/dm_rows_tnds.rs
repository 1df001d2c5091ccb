//! Rows of the conformance list: serialised trees and device descriptions.
use base64::prelude::{BASE64_STANDARD, Engine as _};
use dmwsi_objects::ddf::{Access, Kind};
use dmwsi_objects::{Format, NodeUri};
use dmwsi_protocol::ddf;
use dmwsi_protocol::encoding::Encoding;
use dmwsi_protocol::tnds::{self, Tree};
use serde_json::json;

use crate::harness::phone::FINAL;
use crate::harness::talk::{ENCODINGS, Ground};

const TREE: &str = "<MgmtTree xmlns=\"syncml:dmddf1.2\"><VerDTD>1.2</VerDTD><Node><NodeName>Vendor</NodeName><Path>.</Path>\
    <RTProperties><ACL>Get=*</ACL><Format><node/></Format><Type><DDFName>urn:x</DDFName></Type></RTProperties>\
    <Node><NodeName>A</NodeName><RTProperties><Format><chr/></Format><Type><MIME>text/plain</MIME></Type></RTProperties><Value>a &lt; &amp; b</Value></Node>\
    <Node><NodeName>B</NodeName><RTProperties><Format><bin/></Format><Type><MIME>application/x</MIME></Type></RTProperties><Value>AP8=</Value></Node>\
    </Node></MgmtTree>";

/// As Microsoft publishes them: a namespace of its own among the elements of the standard.
const DESCRIPTION: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE MgmtTree PUBLIC " -//OMA//DTD-DM-DDF 1.2//EN" "http://www.openmobilealliance.org/tech/DTD/DM_DDF-V1_2.dtd" [<?oma-dm-ddf-ver supported-versions="1.2"?>]>
<MgmtTree xmlns:MSFT="http://schemas.microsoft.com/MobileDevice/DM"><VerDTD>1.2</VerDTD><MSFT:Diagnostics/>
 <Node><NodeName>Policy</NodeName><Path>./Device/Vendor/MSFT</Path>
  <DFProperties><AccessType><Get/></AccessType><DFFormat><node/></DFFormat><Occurrence><One/></Occurrence><Scope><Permanent/></Scope>
   <DFType><DDFName/></DFType><MSFT:Applicability><MSFT:OsBuildVersion>10.0.10586</MSFT:OsBuildVersion></MSFT:Applicability></DFProperties>
  <Node><NodeName>Level</NodeName>
   <DFProperties><AccessType><Add/><Delete/><Get/><Replace/></AccessType><DefaultValue>1</DefaultValue><DFFormat><int/></DFFormat>
    <Occurrence><ZeroOrOne/></Occurrence><Scope><Dynamic/></Scope><DFType><MIME/></DFType>
    <MSFT:AllowedValues ValueType="Range"><MSFT:Value>[0-3]</MSFT:Value></MSFT:AllowedValues></DFProperties></Node></Node></MgmtTree>"#;

both! {
    /// S-TN-01: a tree that a device sends as one document, in XML or in WBXML and in messages of either, as text, as base64 or as octets, is read node by node.
    async fn a_serialised_tree_is_read_node_by_node(database: Database) {
        let ground = Ground::on(&database).await;
        let tree = Tree::decode(Encoding::Xml, TREE.as_bytes()).unwrap();
        let tokens = BASE64_STANDARD.encode(tree.encode(Encoding::Wbxml));
        for encoding in ENCODINGS {
            for (format, kind, data) in [
                ("xml", tnds::XML, format!("<![CDATA[{TREE}]]>")),
                ("bin", tnds::XML, BASE64_STANDARD.encode(TREE)),
                ("b64", tnds::WBXML, tokens.clone()),
                // In WBXML these are opaque octets, as the specification has it.
                ("bin", tnds::WBXML, tokens.clone()),
            ] {
                let mut talk = ground.talk(encoding).await;
                let job = talk.job(&json!({"type": "TREE_READ", "root": "./Vendor"})).await;
                let asked = talk.opens("").await;
                let id = asked.commands()[0].1;
                let told = format!(
                    "<Results><CmdID>3</CmdID><MsgRef>1</MsgRef><CmdRef>{id}</CmdRef><Item><Source><LocURI>./Vendor?list=TNDS</LocURI></Source>\
                    <Meta><Format xmlns=\"syncml:metinf\">{format}</Format><Type xmlns=\"syncml:metinf\">{kind}</Type></Meta><Data>{data}</Data></Item></Results>"
                );
                let heard = talk.say(&format!("{}{told}{FINAL}", asked.answers(&[200]))).await;
                let raw = if kind == tnds::XML { TREE.as_bytes().to_vec() } else { tree.encode(Encoding::Wbxml) };
                let is_opaque = encoding == Encoding::Wbxml && format == "bin";
                assert!(!is_opaque || talk.last.windows(raw.len()).any(|window| window == raw), "the document as it is");
                assert!(!heard.asks(), "{format} {kind} {:?}", heard.message);
                assert_eq!(talk.ended(&job).await["outcome"], "READ");
                let brought = talk.results(&job).await;
                let values: Vec<_> = brought.iter().map(|one| (one["node"].as_str().unwrap(), one["value"]["data"].as_str().unwrap())).collect();
                // The ACL that stands there, too, was not asked for: what is known of the tree has it, the results do not.
                let nodes = [("./Vendor", "A/B"), ("./Vendor/A", "a < & b"), ("./Vendor/B", "AP8=")];
                assert_eq!(values, nodes, "{format} {kind}");
                let known = talk.portal.get(&format!("/v1/devices/{}/tree?under=./Vendor", talk.id)).await.of(200);
                assert!(known["items"].as_array().unwrap().iter().any(|one| one["property"] == "ACL" && one["value"] == "Get=*"), "{known}");
            }
        }
        ground.server.stop().await;
    }
}

/// S-TN-01: trees and descriptions come back from either encoding as they were; what a vendor adds is passed over.
#[test]
fn trees_and_descriptions_come_back_from_either_encoding() {
    let tree = Tree::decode(Encoding::Xml, TREE.as_bytes()).unwrap();
    let description = ddf::decode(Encoding::Xml, DESCRIPTION.as_bytes()).unwrap();
    for encoding in ENCODINGS {
        assert_eq!(Tree::decode(encoding, &tree.encode(encoding)), Ok(tree.clone()));
        assert_eq!(ddf::decode(encoding, &ddf::encode(&description, encoding)), Ok(description.clone()));
    }
    let readings = tree.readings(&NodeUri::parse("./Vendor").unwrap());
    assert_eq!(
        readings.iter().map(|reading| reading.node.as_str()).collect::<Vec<_>>(),
        ["./Vendor", "./Vendor/A", "./Vendor/B"]
    );
    let level = &description.nodes[0].children[0];
    assert_eq!((level.name.as_deref(), level.format, level.default.as_deref()), (Some("Level"), Format::Int, Some("1")));
    assert_eq!(level.access, [Access::Add, Access::Delete, Access::Get, Access::Replace]);
    assert_eq!(level.kind, Kind::Media(vec![String::new()]), "a leaf whose media type is not said");
    assert_eq!(description.nodes[0].kind, Kind::Object(String::new()));
}
