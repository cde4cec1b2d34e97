//! An authority of our own, and the certificates that it signs.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::error::{Context, Result};

/// Writes `ca.pem`, `server.pem`, `server.key`, `client.pem` and `client.key` into `folder`.
pub(super) fn write_certificates(folder: &Path) -> Result {
    let what = "making certificates";
    let authority_key = KeyPair::generate().context(what)?;
    let mut authority = CertificateParams::new(Vec::new()).context(what)?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let certificate = authority.self_signed(&authority_key).context(what)?;
    std::fs::write(folder.join("ca.pem"), certificate.pem()).context(what)?;
    let authority = Issuer::new(authority, authority_key);

    let usages =
        [("server", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)];
    for (name, usage) in usages {
        let key = KeyPair::generate().context(what)?;
        let mut params =
            CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).context(what)?;
        params.extended_key_usages = vec![usage];
        let signed = params.signed_by(&key, &authority).context(what)?;
        std::fs::write(folder.join(format!("{name}.pem")), signed.pem()).context(what)?;
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).context(what)?;
    }
    Ok(())
}
