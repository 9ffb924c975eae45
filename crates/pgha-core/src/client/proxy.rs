//! Which proxy leads to an API server.
//!
//! A context's own `proxy-url` always holds. The environment's holds for the servers that it does not except, with the
//! exceptions read as Go's `httpproxy` reads them, since kubectl does: kube's own reading compares them with the proxy's
//! address and not with the server's.

use std::net::IpAddr;

use http::Uri;

/// The proxy that a process found in its environment (`HTTPS_PROXY`, `NO_PROXY`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvironmentProxy {
    /// Where the proxy is, `http://proxy.example:3128` or `socks5://…`.
    pub url: Option<String>,
    /// The servers that are reached without it, separated by commas.
    pub exceptions: String,
}

impl EnvironmentProxy {
    /// The proxy to this server.
    pub(crate) fn to(&self, server: &Uri) -> Option<&str> {
        let url = self.url.as_deref().filter(|url| !url.is_empty())?;
        let host = server
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        let is_local = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        let is_excepted = self
            .exceptions
            .split(',')
            .map(|exception| exception.trim().to_lowercase())
            .any(|exception| excepts(&exception, &host, address, server.port_u16()));
        (!is_local && !is_excepted).then_some(url)
    }
}

/// Whether one exception names a server: `*`, a network, an address or a domain, the last two perhaps with a port. A
/// domain excepts what is below it too.
fn excepts(exception: &str, host: &str, address: Option<IpAddr>, port: Option<u16>) -> bool {
    if exception == "*" {
        return true;
    }
    if let Some((network, bits)) = exception.split_once('/') {
        let network = network.parse().ok().zip(bits.parse().ok());
        return network
            .zip(address)
            .is_some_and(|((network, bits), address)| is_within(address, network, bits));
    }
    if let Ok(excepted) = exception.parse::<IpAddr>() {
        return address == Some(excepted);
    }
    let (name, wanted_port) = match exception.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().ok()),
        None => (exception, None),
    };
    let domain = name.trim_start_matches("*.").trim_start_matches('.');
    let is_same = host == domain && !name.starts_with('.');
    let is_below = host
        .strip_suffix(domain)
        .is_some_and(|rest| rest.ends_with('.'));
    !domain.is_empty() && (is_same || is_below) && (wanted_port.is_none() || wanted_port == port)
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let mask = u32::MAX
                .checked_shl(32_u32.saturating_sub(bits))
                .unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let mask = u128::MAX
                .checked_shl(128_u32.saturating_sub(bits))
                .unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxied(exceptions: &str, server: &str) -> bool {
        let url = Some("http://proxy.example:3128".to_owned());
        let proxy = EnvironmentProxy {
            url,
            exceptions: exceptions.to_owned(),
        };
        proxy.to(&server.parse().unwrap()).is_some()
    }

    #[test]
    fn a_server_is_reached_through_the_proxy_unless_it_is_excepted() {
        assert!(proxied("", "https://api.example:6443"));
        for exceptions in [
            "*",
            "api.example",
            "example",
            ".example",
            "*.example",
            " other , API.example",
            "api.example:6443",
        ] {
            assert!(
                !proxied(exceptions, "https://api.example:6443"),
                "{exceptions}"
            );
        }
        for exceptions in [
            "pi.example",
            ".api.example",
            "api.example:443",
            "api.example.org",
            ",",
        ] {
            assert!(
                proxied(exceptions, "https://api.example:6443"),
                "{exceptions}"
            );
        }
    }

    #[test]
    fn addresses_are_excepted_by_network() {
        for exceptions in ["10.0.0.0/8", "10.1.2.3", "0.0.0.0/0", "10.1.2.3/32"] {
            assert!(
                !proxied(exceptions, "https://10.1.2.3:6443"),
                "{exceptions}"
            );
        }
        for exceptions in [
            "192.168.0.0/16",
            "10.1.2.4",
            "10.0.0.0/x",
            "::/0",
            "10.1.2.4/32",
        ] {
            assert!(proxied(exceptions, "https://10.1.2.3:6443"), "{exceptions}");
        }
        assert!(!proxied("fd00::/8", "https://[fd00::7]:6443"));
    }

    #[test]
    fn this_machine_needs_no_proxy() {
        for server in [
            "https://127.0.0.1:1",
            "https://localhost:1",
            "https://[::1]:1",
        ] {
            assert!(!proxied("", server), "{server}");
        }
    }
}
