//! Certificates: one authority for the namespace, and what it signs for Postgres, Patroni and pgBackRest.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::json;

use super::name;
use super::object::secret_data;
use super::reconcile::Turn;

const ROOT_SECRET: &str = "pgo-root-cacert";

/// The namespace's authority.
pub(crate) struct Authority {
    certificate: String,
    key: String,
}

/// A certificate and its key, in PEM.
pub(crate) struct Leaf {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

type Data = BTreeMap<String, Vec<u8>>;

impl Authority {
    fn new() -> Result<Self> {
        let key = KeyPair::generate()?;
        let certificate = Self::params()?.self_signed(&key)?;
        Ok(Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// The same on every call: what identifies the issuer in what it signs is its name and its key.
    fn params() -> Result<CertificateParams> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = common_name("postgres-operator-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(params)
    }

    pub(crate) fn pem(&self) -> &str {
        &self.certificate
    }

    /// Signs a new certificate for these DNS names, good for servers and for clients.
    pub(crate) fn sign(&self, name: &str, dns_names: Vec<String>) -> Result<Leaf> {
        let issuer = Issuer::new(Self::params()?, KeyPair::from_pem(&self.key)?);
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(dns_names)?;
        params.distinguished_name = common_name(name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(Leaf {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

impl Turn<'_> {
    /// Reads the namespace's authority, or makes it. Another object's reconcile may do so at the same time: who comes
    /// second takes the first one's.
    pub(crate) async fn reconcile_root_certificate(&self) -> Result<Authority> {
        if let Some(found) = self.read_root_certificate().await? {
            return Ok(found);
        }
        let new = Authority::new()?;
        let data = BTreeMap::from([
            ("root.crt".to_owned(), new.certificate.clone().into_bytes()),
            ("root.key".to_owned(), new.key.clone().into_bytes()),
        ]);
        let secret = serde_json::from_value(json!({
            "metadata": {"name": ROOT_SECRET, "namespace": self.namespace},
            "data": secret_data(&data),
        }))?;
        match self
            .api::<Secret>()
            .create(&PostParams::default(), &secret)
            .await
        {
            Ok(_) => Ok(new),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                let found = self.read_root_certificate().await?;
                found.context("the root certificate vanished")
            }
            Err(error) => Err(error).context("creating the root certificate"),
        }
    }

    async fn read_root_certificate(&self) -> Result<Option<Authority>> {
        let data = self.read_secret(ROOT_SECRET).await?;
        let text = |key: &str| {
            data.get(key)
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        let found = text("root.crt").zip(text("root.key"));
        Ok(found.map(|(certificate, key)| Authority { certificate, key }))
    }

    /// The content of a Secret; empty when there is none.
    pub(crate) async fn read_secret(&self, secret: &str) -> Result<Data> {
        let found = self.api::<Secret>().get_opt(secret).await;
        let found = found.with_context(|| format!("reading Secret {secret}"))?;
        let data = found.and_then(|secret| secret.data).unwrap_or_default();
        Ok(data
            .into_iter()
            .map(|(key, value)| (key, value.0))
            .collect())
    }

    /// `<c>-replication-cert`, unless the user brings one.
    pub(crate) async fn reconcile_replication_certificate(
        &self,
        authority: &Authority,
    ) -> Result<()> {
        if let Some(custom) = &self.pg_cluster.spec.custom_replication_tls_secret {
            self.api::<Secret>()
                .get(&custom.name)
                .await
                .context("reading customReplicationTLSSecret")?;
            return Ok(());
        }
        let object = format!("{}-replication-cert", self.name);
        let labels = name::labels(&[
            ("cluster", &self.name),
            ("cluster-certificate", "replication-client-tls"),
        ]);
        let user = name::REPLICATION_USER;
        let data = self
            .keep_or_make(
                &object,
                authority,
                "ca.crt",
                &["tls.crt", "tls.key"],
                || {
                    let leaf = authority.sign(user, vec![user.to_owned()])?;
                    Ok(certificate_data(authority, leaf))
                },
            )
            .await?;
        self.apply::<Secret>(&object, &labels, json!({"data": secret_data(&data)}))
            .await?;
        Ok(())
    }

    /// `<c>-cluster-cert`, unless the user brings one.
    pub(crate) async fn reconcile_cluster_certificate(&self, authority: &Authority) -> Result<()> {
        if self.pg_cluster.spec.custom_tls_secret.is_some() {
            return Ok(());
        }
        let object = format!("{}-cluster-cert", self.name);
        let labels = name::labels(&[
            ("cluster", &self.name),
            ("cluster-certificate", "postgres-tls"),
        ]);
        let mut names = self.service_names(&format!("{}-primary", self.name));
        names.extend(self.service_names(&format!("{}-replicas", self.name)));
        let data = self
            .keep_or_make(
                &object,
                authority,
                "ca.crt",
                &["tls.crt", "tls.key"],
                || {
                    let leaf = authority.sign(&format!("{}-primary", self.name), names.clone())?;
                    Ok(certificate_data(authority, leaf))
                },
            )
            .await?;
        self.apply::<Secret>(&object, &labels, json!({"data": secret_data(&data)}))
            .await?;
        Ok(())
    }

    /// `<sts>-certs`: the member's certificate as Patroni wants it and as pgBackRest wants it.
    pub(crate) async fn reconcile_member_certificate(
        &self,
        authority: &Authority,
        member: &str,
        set: &str,
    ) -> Result<()> {
        let object = format!("{member}-certs");
        let labels = name::labels(&[
            ("cluster", &self.name),
            ("instance-set", set),
            ("instance", member),
        ]);
        let names = self.service_names(&format!("{member}-0.{}-pods", self.name));
        let wanted = [
            "patroni.crt-combined",
            "pgbackrest-server.crt",
            "pgbackrest-server.key",
        ];
        let data = self
            .keep_or_make(&object, authority, "patroni.ca-roots", &wanted, || {
                let leaf = authority.sign(&format!("{member}-0"), names.clone())?;
                let combined = format!("{}{}", leaf.key, leaf.certificate);
                Ok(BTreeMap::from([
                    ("patroni.ca-roots".to_owned(), authority.pem().into()),
                    ("patroni.crt-combined".to_owned(), combined.into()),
                    ("pgbackrest-server.crt".to_owned(), leaf.certificate.into()),
                    ("pgbackrest-server.key".to_owned(), leaf.key.into()),
                ]))
            })
            .await?;
        self.apply::<Secret>(&object, &labels, json!({"data": secret_data(&data)}))
            .await?;
        Ok(())
    }

    /// What a Secret holds, if all of it is there and comes from this authority; else what `make` makes.
    pub(crate) async fn keep_or_make(
        &self,
        object: &str,
        authority: &Authority,
        authority_key: &str,
        wanted: &[&str],
        make: impl FnOnce() -> Result<Data>,
    ) -> Result<Data> {
        let mut found = self.read_secret(object).await?;
        let is_ours = found
            .get(authority_key)
            .is_some_and(|pem| pem == authority.pem().as_bytes());
        let is_whole = wanted
            .iter()
            .all(|key| found.get(*key).is_some_and(|it| !it.is_empty()));
        if is_ours && is_whole {
            found.retain(|key, _| key == authority_key || wanted.contains(&key.as_str()));
            return Ok(found);
        }
        make().with_context(|| format!("making certificates for {object}"))
    }

    /// The names under which a service, or a pod of a headless service, is reached in the cluster.
    pub(crate) fn service_names(&self, service: &str) -> Vec<String> {
        let namespace = &self.namespace;
        vec![
            format!("{service}.{namespace}.svc.cluster.local"),
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}"),
            service.to_owned(),
        ]
    }
}

fn certificate_data(authority: &Authority, leaf: Leaf) -> Data {
    BTreeMap::from([
        ("ca.crt".to_owned(), authority.pem().into()),
        ("tls.crt".to_owned(), leaf.certificate.into()),
        ("tls.key".to_owned(), leaf.key.into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_read_again_signs_as_the_same_issuer() {
        let made = Authority::new().unwrap();
        let read = Authority {
            certificate: made.certificate.clone(),
            key: made.key.clone(),
        };
        let leaf = read
            .sign("_crunchyrepl", vec!["_crunchyrepl".into()])
            .unwrap();
        assert!(leaf.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(leaf.key.starts_with("-----BEGIN PRIVATE KEY-----"));
    }
}
