//! Descriptions in both encodings.
use dmwsi_objects::Format;
use dmwsi_objects::ddf::{Access, Description, Kind, Node, Occurrence, Scope};
use dmwsi_objects::properties::{self, Properties};

use super::{decode, encode};
use crate::encoding::{DecodeError, Encoding};

const BOTH: [Encoding; 2] = [Encoding::Xml, Encoding::Wbxml];

/// With what publishers add: a DOCTYPE that names a DTD, a processing instruction, elements of a vendor.
const EXAMPLE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE MgmtTree PUBLIC " -//OMA//DTD-DM-DDF 1.2//EN" "http://www.openmobilealliance.org/tech/DTD/DM_DDF-V1_2.dtd" [<?oma-dm-ddf-ver supported-versions="1.2"?>]>
<MgmtTree xmlns:MSFT="http://schemas.microsoft.com/MobileDevice/DM"><VerDTD>1.2</VerDTD><Man>Acme</Man><Mod>X1</Mod>
 <Node><NodeName>FUMO</NodeName><Path>./Vendor</Path><RTProperties><ACL>Get=*</ACL><Format><node/></Format><Type><DDFName>urn:oma:mo:oma-fumo:1.0</DDFName></Type><VerNo>2</VerNo></RTProperties>
  <DFProperties><AccessType><Get/><Add/><Get/></AccessType><Description> For updates. </Description><DFFormat><node/></DFFormat>
   <Occurrence><ZeroOrOne/></Occurrence><Scope><Permanent/></Scope><DFTitle>FUMO</DFTitle>
   <DFType><DDFName>urn:oma:mo:oma-fumo:1.0</DDFName></DFType><CaseSense><CS/></CaseSense></DFProperties>
  <Node><NodeName/>
   <DFProperties><AccessType><Replace/><Exec/></AccessType><DefaultValue>10</DefaultValue><DFFormat><int/></DFFormat>
    <Occurrence><ZeroOrN>4</ZeroOrN></Occurrence><DFType><MIME>text/plain</MIME><MIME>text/x</MIME></DFType>
    <MSFT:AllowedValues ValueType="Range"><MSFT:Value>[0-9]</MSFT:Value></MSFT:AllowedValues></DFProperties></Node></Node></MgmtTree>"#;

fn example() -> Description {
    let child = Node {
        access: vec![Access::Replace, Access::Exec],
        default: Some("10".to_owned()),
        format: Format::Int,
        occurrence: Occurrence::ZeroOrN(4),
        kind: Kind::Media(vec!["text/plain".to_owned(), "text/x".to_owned()]),
        ..Node::default()
    };
    let node = Node {
        name: Some("FUMO".to_owned()),
        path: Some("./Vendor".to_owned()),
        properties: Properties {
            acl: Some("Get=*".to_owned()),
            format: Some(Format::Node),
            kind: Some(properties::Kind::Object("urn:oma:mo:oma-fumo:1.0".to_owned())),
            revision: Some("2".to_owned()),
            ..Properties::default()
        },
        access: vec![Access::Get, Access::Add],
        description: Some("For updates.".to_owned()),
        format: Format::Node,
        occurrence: Occurrence::ZeroOrOne,
        scope: Scope::Permanent,
        title: Some("FUMO".to_owned()),
        kind: Kind::Object("urn:oma:mo:oma-fumo:1.0".to_owned()),
        is_case_sensitive: Some(true),
        children: vec![child],
        ..Node::default()
    };
    Description {
        version: "1.2".to_owned(),
        manufacturer: Some("Acme".to_owned()),
        model: Some("X1".to_owned()),
        nodes: vec![node],
    }
}

#[test]
fn a_description_is_read_and_comes_back_in_both_encodings() {
    assert_eq!(decode(Encoding::Xml, EXAMPLE.as_bytes()), Ok(example()));
    for encoding in BOTH {
        assert_eq!(decode(encoding, &encode(&example(), encoding)), Ok(example()), "{encoding:?}");
    }
}

#[test]
fn every_number_of_nodes_comes_back() {
    let all = [
        Occurrence::One,
        Occurrence::OneOrMore,
        Occurrence::OneOrN(65_536),
        Occurrence::ZeroOrMore,
        Occurrence::ZeroOrN(2),
        Occurrence::ZeroOrOne,
    ];
    for occurrence in all {
        let nodes = vec![Node { occurrence, ..Node::default() }];
        let description = Description { nodes, ..Description::default() };
        for encoding in BOTH {
            assert_eq!(decode(encoding, &encode(&description, encoding)), Ok(description.clone()));
        }
    }
}

#[test]
fn what_is_cut_off_or_no_description_is_refused() {
    for encoding in BOTH {
        let whole = encode(&example(), encoding);
        for length in 0..whole.len() {
            assert!(decode(encoding, &whole[..length]).is_err());
        }
    }
    assert!(matches!(decode(Encoding::Xml, b"<Node/>"), Err(DecodeError::Malformed { .. })));
}
