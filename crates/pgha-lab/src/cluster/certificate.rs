//! Certificates from one authority for both sites of a streaming pair.

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};

use super::manifest::{client_certificate, server_certificate};
use crate::site::SERVICE_NAMESPACE;

/// Postgres' name for the client that replicates: the operator's replication user.
const REPLICATION_USER: &str = "_crunchyrepl";

/// The Secrets of both certificates, the same for both sites.
pub(super) fn secrets(name: &str) -> Result<Vec<Value>> {
    let key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority
        .distinguished_name
        .push(DnType::CommonName, "pgha-lab");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_pem = authority.self_signed(&key)?.pem();
    let issuer = Issuer::new(authority, key);

    let service = |role: &str| format!("{name}-{role}.{SERVICE_NAMESPACE}.svc");
    let server = vec![
        format!("{name}-primary"),
        service("primary"),
        service("replicas"),
        service("ha"),
        format!("{}.cluster.local", service("primary")),
    ];
    [
        (server_certificate(name), format!("{name}-primary"), server),
        (
            client_certificate(name),
            REPLICATION_USER.to_owned(),
            vec![REPLICATION_USER.to_owned()],
        ),
    ]
    .into_iter()
    .map(|(secret, common_name, names)| {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": secret, "namespace": SERVICE_NAMESPACE},
            "stringData": {
                "ca.crt": authority_pem,
                "tls.crt": certificate.pem(),
                "tls.key": key.serialize_pem(),
            },
        }))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_certificates_come_from_one_authority() {
        let secrets = secrets("zitadel").unwrap();
        assert_eq!(secrets.len(), 2);
        assert_eq!(
            secrets[0]["stringData"]["ca.crt"],
            secrets[1]["stringData"]["ca.crt"]
        );
        assert_ne!(
            secrets[0]["stringData"]["tls.crt"],
            secrets[1]["stringData"]["tls.crt"]
        );
    }
}
