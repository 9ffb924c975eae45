//! A connection that nobody has used before.

use std::net::SocketAddr;

use pgha_nlb::text::one_line;
use pgha_wire::Connection;
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use tokio::net::lookup_host;
use webpki::EndEntityCert;

use crate::{Family, HttpProbe};

/// SHA-256 of a certificate's subject public key info, in hexadecimal digits.
///
/// # Errors
/// It is no certificate; why.
pub fn spki_sha256(certificate: &[u8]) -> Result<String, String> {
    let der = CertificateDer::from(certificate);
    let parsed = EndEntityCert::try_from(&der).map_err(|error| error.to_string())?;
    Ok(hex::encode(digest(
        &SHA256,
        &parsed.subject_public_key_info(),
    )))
}

impl HttpProbe {
    /// The address to ask, looked up anew.
    pub(crate) async fn address(&self) -> Result<SocketAddr, String> {
        let name = match &self.settings.connect_to {
            Some(other) => other.clone(),
            None => format!("{}:{}", self.server.host, self.server.port),
        };
        let fits = |address: &SocketAddr| match self.settings.family {
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        };
        let found = lookup_host(&name).await;
        let mut found = found.map_err(|error| format!("{name} cannot be looked up: {error}."))?;
        found
            .find(fits)
            .ok_or_else(|| format!("{name} has no address of this family."))
    }

    /// A connection, and the digest of the server's key over TLS.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
    ) -> Result<(Connection, Option<String>), String> {
        let address = address.to_string();
        let connection = self.server.connect(&address, self.tls.as_ref()).await;
        let connection = connection.map_err(|because| one_line(&because))?;
        let Some(certificate) = &connection.certificate else {
            return Ok((connection, None));
        };
        let key = spki_sha256(certificate);
        let key =
            key.map_err(|error| format!("The server's certificate cannot be read: {error}."))?;
        Ok((connection, Some(key)))
    }
}
