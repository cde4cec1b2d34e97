//! Operator mode: who may come in is not in the server's configuration, but in signed documents
//! that each client brings along in a creds file.

use std::path::Path;

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

use super::settings::{LISTENER, NEIGHBOUR, NOT_FOR_LISTENERS};
use crate::error::{Context, Result};

/// The creds file of a daemon.
pub(super) const DAEMON: &str = "kryten";
/// What the server's configuration says about it, as a file of the server's folder.
pub(super) const CONFIGURATION: &str = "operator.json";

/// Makes an operator with one account, writes what the server has to know of them, and a creds file
/// for a daemon and for each of the kit's own clients, into `folder`.
pub(super) fn write_operator(folder: &Path) -> Result {
    let what = "making an operator";
    let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
    let signed_operator =
        sign(&operator, "operator", &operator.public_key(), json!({ "type": "operator", "version": 2 }))?;
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1,
    });
    let claims = json!({ "limits": limits, "type": "account", "version": 2 });
    let signed_account = sign(&operator, "account", &account.public_key(), claims)?;
    let configuration = json!({
        "operator": signed_operator,
        "resolver": "MEMORY",
        "resolver_preload": { account.public_key(): signed_account },
    });
    std::fs::write(folder.join(CONFIGURATION), configuration.to_string()).context(what)?;
    for (name, denied) in [(DAEMON, &[][..]), (NEIGHBOUR.0, &[]), (LISTENER.0, &NOT_FOR_LISTENERS)] {
        let user = KeyPair::new_user();
        let claims = json!({
            "pub": {}, "sub": { "deny": denied }, "subs": -1, "data": -1, "payload": -1,
            "type": "user", "version": 2,
        });
        let signed = sign(&account, name, &user.public_key(), claims)?;
        let seed = user.seed().context(what)?;
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{signed}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        std::fs::write(folder.join(creds_file(name)), text).context(what)?;
    }
    Ok(())
}

/// The name of somebody's creds file in the server's folder.
pub(super) fn creds_file(name: &str) -> String {
    format!("{name}.creds")
}

/// A document about `subject`, signed by `issuer`.
fn sign(issuer: &KeyPair, name: &str, subject: &str, nats: Value) -> Result<String> {
    let claims = json!({
        "jti": name, "iat": 1_700_000_000, "iss": issuer.public_key(), "name": name, "sub": subject,
        "nats": nats,
    });
    let encode = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let text = format!("{}.{}", encode(json!({ "typ": "JWT", "alg": "ed25519-nkey" })), encode(claims));
    let signature = issuer.sign(text.as_bytes()).context("signing a document")?;
    Ok(format!("{text}.{}", BASE64URL_NOPAD.encode(&signature)))
}
