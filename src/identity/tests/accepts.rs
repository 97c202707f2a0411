//! What becomes of several credentials, and of those that a listener does not take.

use serde_json::json;

use super::kit::{NOW, Names, SPIFFE, Signer, certificate, certificates, claims, header, oidc, settings, time, token, with};
use crate::domain::{CredentialKind, Uid};
use crate::identity::{
    Accepted, Accepts, Authenticator as _, BadCredential, Dev, PeerEntry, Peers, Presented, TokenEntry, Tokens, UnixPeer, token_sha256,
    token_text,
};

/// Kinds, headers, whether there is a certificate, the user of the UNIX peer; who it is, or why not.
type Row<'a> = (&'a [&'a str], &'a [&'a str], bool, Option<u32>, Result<Option<&'a str>, &'a str>);

struct World {
    static_token: String,
    access_token: String,
    certificate: Vec<u8>,
    kinds: Vec<Accepted>,
}

impl World {
    fn new() -> Self {
        let static_token = token_text([7; 32]);
        let entry = TokenEntry {
            id: "ci".to_owned(),
            sha256: token_sha256(&static_token),
            principal: Uid::new("Service", "ci").unwrap(),
            groups: Vec::new(),
            not_before: None,
            expires: None,
            previous: None,
        };
        let peer = PeerEntry { uid: Some(7), gid: None, principal: Uid::new("Service", "local").unwrap(), groups: Vec::new() };
        let signer = Signer::ed25519();
        let key = with(signer.jwk(), &json!({"kid": "k1"}));
        Self {
            access_token: token(&signer, "EdDSA", header("EdDSA").to_string().as_bytes(), claims().to_string().as_bytes()),
            certificate: certificate(&Names { uris: &["spiffe://prod.example/ns/web/sa/api"], ..Names::default() }, |_| ()),
            kinds: vec![
                Accepted::Dev(Dev),
                Accepted::Token(Tokens::new(vec![entry]).unwrap()),
                Accepted::Oidc(oidc(settings(), &[key])),
                Accepted::Mtls(certificates(SPIFFE)),
                Accepted::Unix(Peers::new(vec![peer]).unwrap()),
            ],
            static_token,
        }
    }

    fn listener(&self, kinds: &[&str]) -> Accepts {
        Accepts::new(self.kinds.iter().filter(|kind| kinds.contains(&kind.kind().as_str())).cloned().collect()).unwrap()
    }

    /// Who it is, or what the log says: by `Authorization` headers, whether there is a certificate, and the user of the UNIX peer.
    fn ask(&self, kinds: &[&str], headers: &[&str], certificate: bool, uid: Option<u32>) -> Result<Option<String>, BadCredential> {
        let bytes: Vec<&[u8]> = headers.iter().map(|header| header.as_bytes()).collect();
        let presented = Presented {
            authorization: &bytes,
            client_certificate: certificate.then_some(self.certificate.as_slice()),
            peer: uid.map(|uid| UnixPeer { uid, gid: 1 }),
        };
        Ok(self.listener(kinds).identify(&presented, time(NOW))?.map(|found| found.caller.principal.to_string()))
    }
}

#[test]
fn one_credential_of_a_kind_that_is_taken_decides() {
    let world = World::new();
    let (stat, jwt) = (format!("Bearer {}", world.static_token), format!("bearer {}", world.access_token));
    let dev = "Dev User::\"dev\"";
    let web = ["token", "oidc", "mtls"];
    let rows: [Row; 22] = [
        (&web, &[], false, None, Ok(None)),
        (&web, &[&stat], false, None, Ok(Some("Service::\"ci\""))),
        (&web, &[&jwt], false, None, Ok(Some("User::\"alice\""))),
        (&web, &[], true, None, Ok(Some("Workload::\"web/api\""))),
        (&["unix"], &[], false, Some(7), Ok(Some("Service::\"local\""))),
        (&["dev", "token"], &[dev], false, None, Ok(Some("User::\"dev\""))),
        // two of different kinds are refused, good or bad, the same caller or another
        (&web, &[&stat], true, None, Err("two credentials came")),
        (&web, &[&jwt], true, None, Err("two credentials came")),
        (&web, &["Bearer rubbish"], true, None, Err("two credentials came")),
        (&web, &[&stat, &jwt], false, None, Err("2 `Authorization` headers")),
        (&web, &[&stat, &stat], true, None, Err("2 `Authorization` headers")),
        // a header of a kind that is not taken is refused, whatever else came
        (&["mtls"], &[&stat], true, None, Err("is not taken here; send a client certificate")),
        (&["unix"], &[&stat], false, Some(7), Err("is not taken here; send a connection over the UNIX socket")),
        (&["token"], &[&jwt], false, None, Err("is not taken here; send a static token")),
        (&["oidc"], &[&stat], false, None, Err("is not taken here; send an access token")),
        (&web, &[dev], false, None, Err("is not taken here")),
        (&web, &["Basic YTpi"], false, None, Err("does not take `Basic`")),
        // a bad one is never tried as another kind
        (&web, &["Bearer elv_x.y.z"], false, None, Err("not of the form `elv_`")),
        (&web, &["Bearer x"], false, None, Err("three parts")),
        (&["unix"], &[], false, Some(0), Err("no entry is for user 0")),
        // what the connection is, where that shows nobody
        (&["token"], &[&stat], true, Some(7), Ok(Some("Service::\"ci\""))),
        (&["token"], &[], true, Some(7), Ok(None)),
    ];
    for (kinds, headers, certificate, uid, want) in rows {
        let found = world.ask(kinds, headers, certificate, uid);
        match (&found, want) {
            (Ok(name), Ok(want)) => assert_eq!(name.as_deref(), want, "{kinds:?} {headers:?}"),
            (Err(bad), Err(why)) => {
                assert!(bad.for_log().contains(why), "{kinds:?} {headers:?}: {}", bad.for_log());
                assert!(!bad.to_string().contains("elv_x") && !bad.for_log().contains(&world.static_token), "a secret was repeated");
            }
            _ => panic!("{kinds:?} {headers:?}: {found:?}"),
        }
    }
}

#[test]
fn a_listener_accepts_something_and_each_kind_once() {
    let world = World::new();
    let [dev, token, _, mtls, unix] = world.kinds.as_slice() else { panic!("five kinds") };
    let rows = [
        (vec![], "nobody could call"),
        (vec![token.clone(), token.clone()], "`token` is named twice"),
        (vec![unix.clone(), token.clone()], "`unix` stands alone"),
        (vec![mtls.clone(), unix.clone()], "`unix` stands alone"),
        (vec![dev.clone(), unix.clone()], "`unix` stands alone"),
    ];
    for (kinds, why) in rows {
        let bad = Accepts::new(kinds).unwrap_err().to_string();
        assert!(bad.contains(why), "{bad}");
    }
    let rows: [(&[&str], &str, bool); 6] = [
        (&["token"], "Bearer realm=\"elevon\"", false),
        (&["oidc", "mtls"], "Bearer realm=\"elevon\"", false),
        (&["mtls"], "Certificate realm=\"elevon\"", false),
        (&["unix"], "Peer realm=\"elevon\"", false),
        (&["dev"], "Dev realm=\"elevon\"", true),
        (&["dev", "token"], "Dev realm=\"elevon\", Bearer realm=\"elevon\"", true),
    ];
    for (kinds, challenge, loopback) in rows {
        let listener = world.listener(kinds);
        assert_eq!((listener.challenge(), listener.loopback_only()), (challenge, loopback), "{kinds:?}");
        for kind in [CredentialKind::Dev, CredentialKind::Token, CredentialKind::Oidc, CredentialKind::Mtls, CredentialKind::Unix] {
            assert_eq!(listener.takes(kind), kinds.contains(&kind.as_str()), "{kinds:?}");
        }
    }
}
