//! What a container may hold beside payloads, and who else makes tars.
use futures_util::stream;
use openssl::sha::sha512;
use serde_json::json;

use crate::harness::archive::{Archive, SCOPES, TAR, files, hex};
use crate::harness::server::{Got, Portal, Server};

async fn deliver(portal: &Portal, tar: Vec<u8>) -> Got {
    portal.deliver("/v1/containers", &[TAR], tar).await
}

both! {
    async fn signatures_and_attestations_are_taken_where_they_belong(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let attested = |id: &str, number, promised: &[u8]| {
            let mut archive = Archive::firmware(id, number);
            archive.manifest["attestations"] = json!([{"path": "attestations/slsa.json", "digests": {"sha-256": hex(promised)}}]);
            archive.members.insert(0, ("attestations/slsa.json".into(), b"{}".to_vec()));
            archive
        };
        let mut signed = attested("urn:a", 1, b"{}");
        signed.members.insert(0, ("manifest.p7s".into(), b"a signature".to_vec()));
        deliver(&portal, signed.tar()).await.of(201);
        assert_eq!(files(&database.content()).len(), 2, "the payload and the attestation");
        let mut late = Archive::firmware("urn:b", 2);
        late.members.push(("manifest.p7s".into(), b"a signature".to_vec()));
        deliver(&portal, late.tar()).await.problem(422, "MEMBER_UNEXPECTED");
        let mut long = Archive::firmware("urn:b", 2);
        long.members.insert(0, ("manifest.p7s".into(), vec![0; (1 << 16) + 1]));
        deliver(&portal, long.tar()).await.problem(422, "LIMIT_EXCEEDED");
        deliver(&portal, attested("urn:b", 2, b"something else").tar()).await.problem(422, "DIGEST_MISMATCH");
        let mut missing = attested("urn:b", 2, b"{}");
        missing.members.remove(0);
        deliver(&portal, missing.tar()).await.problem(422, "MEMBER_MISSING");
        server.stop().await;
    }
}

both! {
    async fn a_payload_must_also_be_what_its_longer_digest_says(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let with = |promised: &[u8]| {
            let hex: String = sha512(promised).iter().map(|byte| format!("{byte:02x}")).collect();
            let mut archive = Archive::firmware("urn:a", 1);
            archive.deliverables()[0]["payloads"][0]["digests"]["sha-512"] = json!(hex);
            archive.tar()
        };
        let refused = deliver(&portal, with(b"another firmware")).await;
        assert!(refused.problem(422, "DIGEST_MISMATCH")["detail"].as_str().unwrap().contains("sha-512"));
        assert!(files(&database.content()).is_empty());
        deliver(&portal, with(b"the new firmware")).await.of(201);
        server.stop().await;
    }
}

both! {
    /// More payloads than a process may commonly hold files open, and one more than a container may have.
    async fn a_container_may_have_a_thousand_payloads_and_no_more(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let many = |id: &str, number, count: usize| {
            let mut archive = Archive::new(id, number).with("CONTENT", "maps", b"");
            let payload = |at: usize| {
                let bytes = at.to_string();
                json!({"payloadId": format!("p{at}"), "path": format!("payloads/{at}.bin"), "size": bytes.len(), "digests": {"sha-256": hex(bytes.as_bytes())}})
            };
            let mut deliverables = Vec::new();
            for first in (0..count).step_by(10) {
                let mut one = archive.deliverables()[0].clone();
                one["deliverableId"] = json!(format!("maps-{first}"));
                one["payloads"] = (first..count.min(first + 10)).map(payload).collect();
                deliverables.push(one);
            }
            *archive.deliverables() = deliverables;
            archive.members = (0..count).map(|at| (format!("payloads/{at}.bin"), at.to_string().into_bytes())).collect();
            archive.tar()
        };
        deliver(&portal, many("urn:a", 1, 1_001)).await.problem(422, "LIMIT_EXCEEDED");
        deliver(&portal, many("urn:b", 2, 1_000)).await.of(201);
        assert_eq!(files(&database.content()).len(), 1_000);
        server.stop().await;
    }
}

both! {
    async fn a_tar_of_gnu_tar_comes_in_with_plain_files_only(database: Database) {
        let server = Server::on(&database).await;
        let portal = server.portal("acme", SCOPES).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("payloads")).unwrap();
        let tar = |format: &str, number: u64, names: &[&str]| {
            let archive = Archive::firmware(&format!("urn:{number}"), number);
            std::fs::write(folder.path().join("manifest.json"), archive.manifest.to_string()).unwrap();
            std::fs::write(folder.path().join(&archive.members[0].0), &archive.members[0].1).unwrap();
            let mut command = std::process::Command::new("tar");
            let made = command.arg("-C").arg(folder.path()).arg(format!("--format={format}")).args(["-cf", "-"]).args(names);
            made.output().unwrap().stdout
        };
        let names = ["manifest.json", "payloads/x1-2.0.0.bin"];
        deliver(&portal, tar("ustar", 1, &names)).await.of(201);
        deliver(&portal, tar("gnu", 2, &names)).await.of(201);
        // A header of pax, and the folder as a member of its own.
        deliver(&portal, tar("posix", 3, &names)).await.problem(422, "CONTAINER_FORMAT_INVALID");
        deliver(&portal, tar("ustar", 3, &["manifest.json", "payloads"])).await.problem(422, "CONTAINER_FORMAT_INVALID");
        server.stop().await;
    }
}

both! {
    async fn too_large_a_container_or_payload_is_refused(database: Database) {
        let settings = |config: &mut dmwsi::config::Config| {
            config.content.max_container_bytes = 20_000;
            config.content.max_payload_bytes = 5_000;
        };
        let server = Server::with(&database, dmwsi::keys::Keys::mint().unwrap(), dmwsi_domain::Clock::System, settings).await;
        let portal = server.portal("acme", SCOPES).await;
        let large = |count: usize| Archive::new("urn:a", 1).with("CONTENT", "map", &vec![7; count]).tar();
        deliver(&portal, large(5_001)).await.problem(422, "LIMIT_EXCEEDED");
        deliver(&portal, large(30_000)).await.problem(413, "PAYLOAD_TOO_LARGE");
        // In pieces, so that no header tells how large it is.
        let many = (0..6).fold(Archive::new("urn:a", 1), |archive, at| archive.with("CONTENT", &format!("map-{at}"), &[at; 5_000])).tar();
        let pieces = |tar: &[u8]| {
            let pieces: Vec<_> = tar.chunks(1_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
            reqwest::Body::wrap_stream(stream::iter(pieces))
        };
        let refused = portal.deliver("/v1/containers", &[TAR], pieces(&many)).await;
        assert!(refused.problem(422, "LIMIT_EXCEEDED")["detail"].as_str().unwrap().contains("20000 bytes"));
        let later = portal.deliver("/v1/containers", &[TAR, ("prefer", "respond-async")], pieces(&many)).await;
        later.problem(413, "PAYLOAD_TOO_LARGE");
        assert!(files(&database.content()).is_empty());
        deliver(&portal, large(5_000)).await.of(201);
        assert_eq!(files(&database.content()).len(), 1);
        server.stop().await;
    }
}
