//! Certificates: a CA for each site, new with each `up`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::site::{S3_HOST, Site};

/// A certificate authority and the folder that its certificates are in.
struct Authority<'a> {
    issuer: Issuer<'static, KeyPair>,
    folder: &'a Path,
}

/// Writes a site's: `ca.crt`, then `apiserver`, `kubelet-client`, `admin` (each `.crt` and `.key`), `sa.key`, `sa.pub`.
pub fn write_site(site: Site, folder: &Path) -> Result<()> {
    let authority = Authority::create(&format!("{site}-ca"), folder)?;
    let names = [
        "127.0.0.1".to_owned(),
        site.node_ip().to_string(),
        site.service_ip().to_string(),
        "localhost".to_owned(),
        "kubernetes".to_owned(),
        "kubernetes.default".to_owned(),
        "kubernetes.default.svc".to_owned(),
        "kubernetes.default.svc.cluster.local".to_owned(),
    ];
    authority.issue("apiserver", "kube-apiserver", None, &names)?;
    authority.issue(
        "kubelet-client",
        "apiserver-kubelet",
        Some("system:masters"),
        &[],
    )?;
    authority.issue("admin", "admin", Some("system:masters"), &[])?;
    let key = KeyPair::generate().context("cannot make a key")?;
    fs::write(folder.join("sa.key"), key.serialize_pem())?;
    fs::write(folder.join("sa.pub"), key.public_key_pem())?;
    Ok(())
}

/// Writes the S3 store's: `ca.crt`, `s3.crt`, `s3.key`.
pub fn write_edge(folder: &Path, ip: &str) -> Result<()> {
    let authority = Authority::create("edge-ca", folder)?;
    authority.issue("s3", S3_HOST, None, &[S3_HOST.to_owned(), ip.to_owned()])
}

impl<'a> Authority<'a> {
    fn create(name: &str, folder: &'a Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate().context("cannot make a key")?;
        let certificate = params.self_signed(&key).context("cannot sign a CA")?;
        fs::write(folder.join("ca.crt"), certificate.pem())?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            folder,
        })
    }

    /// A certificate without names is a client's; Kubernetes reads user and group from its subject.
    fn issue(&self, file: &str, user: &str, group: Option<&str>, names: &[String]) -> Result<()> {
        let mut params = CertificateParams::new(names).context("a name is not valid")?;
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params
                .distinguished_name
                .push(DnType::OrganizationName, group);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().context("cannot make a key")?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .context("cannot sign a certificate")?;
        fs::write(self.folder.join(format!("{file}.crt")), certificate.pem())?;
        fs::write(self.folder.join(format!("{file}.key")), key.serialize_pem())?;
        Ok(())
    }
}
