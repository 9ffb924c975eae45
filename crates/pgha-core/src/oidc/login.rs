//! Logging in: by a code that the person's browser brings (with PKCE), by a code that the person types at another device, by a
//! refresh token, or as a program without a person (RFC 6749, 7636, 8252, 8628, 9207).
//!
//! The flows are those of the crate `oauth2`. What comes back is a secret and is not verified here: [`Issuer::verify`] does that.

use std::fmt;
use std::time::Duration;

use http::Uri;
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, DeviceAuthorizationUrl,
    EndpointMaybeSet, EndpointNotSet, ErrorResponse, ErrorResponseType, ExtraTokenFields,
    HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken,
    RequestTokenError, Scope, StandardDeviceAuthorizationResponse, StandardErrorResponse,
    StandardRevocableToken, StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use pgha_model::effect::Effect;
use serde::{Deserialize, Serialize};

use super::issuer::Issuer;
use super::token::Token;
use super::web::{IssuerError, Web};
use crate::diagnose::{Diagnose, sanitised};

type Reply = StandardTokenResponse<Extra, BasicTokenType>;

type Client = oauth2::Client<
    BasicErrorResponse,
    Reply,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointMaybeSet,
    EndpointMaybeSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
>;

/// What OpenID Connect adds to an answer (Core 1.0, section 3.1.3.3).
#[derive(Clone, Deserialize, Serialize)]
struct Extra {
    id_token: Option<String>,
}

impl ExtraTokenFields for Extra {}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Extra(…)")
    }
}

/// What an issuer gave.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Who logged in; `None` when nobody did.
    pub id_token: Option<Token>,
    /// What opens the issuer's own doors.
    pub access_token: Token,
    /// What gets new tokens without a person.
    pub refresh_token: Option<Token>,
    /// For how long the access token is good.
    pub expires_in: Option<Duration>,
    /// What the ID token has to say, because this login asked for it.
    pub nonce: Option<String>,
}

/// Why nobody was logged in. Nothing was changed by it.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The issuer does not offer it.
    #[error("{issuer} offers no {flow}")]
    NotOffered {
        /// The issuer.
        issuer: String,
        /// What it lacks.
        flow: &'static str,
    },
    /// The issuer was not reached, or does not answer as one.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// The issuer says no.
    #[error("{issuer} refuses the login: {code}{}", of_words(.said.as_deref()))]
    Refused {
        /// The issuer.
        issuer: String,
        /// Its error code.
        code: String,
        /// Its words.
        said: Option<String>,
    },
    /// What came back is none to what was asked.
    #[error("what came back is no answer of {issuer} to this login: {because}")]
    Foreign {
        /// The issuer.
        issuer: String,
        /// What is wrong with it.
        because: &'static str,
    },
    /// Something that was given cannot be used.
    #[error("{what} cannot be used: {because}")]
    Setting {
        /// What was given.
        what: &'static str,
        /// What is wrong with it.
        because: String,
    },
}

fn of_words(said: Option<&str>) -> String {
    said.map(|said| format!(" ({said})")).unwrap_or_default()
}

impl Diagnose for LoginError {
    fn effect(&self) -> Effect {
        Effect::None
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Issuer(error) => return error.hint(),
            Self::NotOffered { .. } => "Take another --grant, or register the client for it.",
            Self::Refused { code, .. } if code == "expired_token" || code == "access_denied" => {
                "Run the same command again, and finish the login in time."
            }
            Self::Refused { .. } => {
                "See how the client is registered: its grants, scopes, redirect address, and whether it has a secret."
            }
            Self::Foreign { .. } => {
                "Run the same command again; when it repeats, somebody else answers for the issuer."
            }
            Self::Setting { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// A client of an issuer that can log somebody in.
#[derive(Clone, Debug)]
pub struct Login {
    issuer: String,
    client: Client,
    web: Web,
    scopes: Vec<Scope>,
    names_itself: bool,
}

/// A login that waits for the person's browser.
#[derive(Debug)]
pub struct Begun {
    /// Where the browser has to go.
    pub url: String,
    state: CsrfToken,
    nonce: String,
    verifier: PkceCodeVerifier,
    redirect: RedirectUrl,
}

/// A login that waits for the person to type a code elsewhere.
#[derive(Debug)]
pub struct DeviceCode {
    reply: StandardDeviceAuthorizationResponse,
}

impl DeviceCode {
    /// What the person has to type.
    pub fn user_code(&self) -> &str {
        self.reply.user_code().secret()
    }

    /// Where.
    pub fn at(&self) -> &str {
        self.reply.verification_uri()
    }

    /// Where the code is filled in already, if the issuer offers that.
    pub fn at_with_code(&self) -> Option<&str> {
        let url = self.reply.verification_uri_complete()?;
        Some(url.secret())
    }

    /// For how long it is good.
    pub fn expires_in(&self) -> Duration {
        self.reply.expires_in()
    }
}

impl Login {
    /// A client of this issuer. `openid` is asked for with every scope that is named.
    ///
    /// # Errors
    /// An address of the issuer is none.
    pub fn new(
        issuer: &Issuer,
        client_id: &str,
        secret: Option<&Token>,
        scopes: &[String],
    ) -> Result<Self, LoginError> {
        let endpoints = issuer.endpoints();
        let bad = |what| {
            move |error: oauth2::url::ParseError| LoginError::Setting {
                what,
                because: error.to_string(),
            }
        };
        let text = |url: &Option<Uri>| url.as_ref().map(Uri::to_string);
        let authorization = text(&endpoints.authorization).map(AuthUrl::new);
        let authorization = authorization.transpose();
        let token = text(&endpoints.token).map(TokenUrl::new).transpose();
        let device = text(&endpoints.device).map(DeviceAuthorizationUrl::new);
        let device = device.transpose();
        let mut client = oauth2::Client::new(ClientId::new(client_id.to_owned()))
            .set_auth_uri_option(authorization.map_err(bad("authorization_endpoint"))?)
            .set_token_uri_option(token.map_err(bad("token_endpoint"))?)
            .set_device_authorization_url_option(
                device.map_err(bad("device_authorization_endpoint"))?,
            );
        if let Some(secret) = secret {
            client = client.set_client_secret(ClientSecret::new(secret.expose().to_owned()));
        }
        let mut all = vec![Scope::new("openid".to_owned())];
        let more = scopes.iter().filter(|scope| *scope != "openid");
        all.extend(more.cloned().map(Scope::new));
        Ok(Self {
            issuer: sanitised(issuer.url()),
            client,
            web: issuer.web().clone(),
            scopes: all,
            names_itself: endpoints.names_itself,
        })
    }

    /// Where the person's browser has to go; the answer comes to `redirect`. A fresh login asks the person anew although the
    /// issuer may remember them.
    ///
    /// # Errors
    /// The issuer offers no such login.
    pub fn begin(&self, redirect: &str, fresh: bool) -> Result<Begun, LoginError> {
        let redirect = RedirectUrl::new(redirect.to_owned()).map_err(|error| {
            let because = error.to_string();
            LoginError::Setting {
                what: "the redirect address",
                because,
            }
        })?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let nonce = CsrfToken::new_random().into_secret();
        let client = self.client.clone().set_redirect_uri(redirect.clone());
        let request = client.authorize_url(CsrfToken::new_random);
        let request = request.map_err(|_| self.lacks("login by a browser"))?;
        let mut request = request
            .add_scopes(self.scopes.iter().cloned())
            .set_pkce_challenge(challenge)
            .add_extra_param("nonce", &nonce);
        let mut prompts = Vec::new();
        if fresh {
            prompts.push("login");
            request = request.add_extra_param("max_age", "0");
        }
        // Otherwise there is no refresh token (OpenID Connect Core 1.0, section 11).
        if self
            .scopes
            .iter()
            .any(|scope| scope.as_str() == "offline_access")
        {
            prompts.push("consent");
        }
        if !prompts.is_empty() {
            request = request.add_extra_param("prompt", prompts.join(" "));
        }
        let (url, state) = request.url();
        Ok(Begun {
            url: url.into(),
            state,
            nonce,
            verifier,
            redirect,
        })
    }

    /// Takes what the browser brought to the redirect address: the query of that request.
    ///
    /// # Errors
    /// It is no answer to this login, or the issuer says no.
    pub async fn finish(&self, begun: Begun, query: &str) -> Result<Grant, LoginError> {
        let code = self.code_of(&begun, query)?;
        let client = self.client.clone().set_redirect_uri(begun.redirect);
        let request = client.exchange_code(AuthorizationCode::new(code));
        let request = request.map_err(|_| self.lacks("tokens"))?;
        let request = request.set_pkce_verifier(begun.verifier);
        let http = self.http();
        let reply = request.request_async(&http).await;
        let reply = reply.map_err(|error| self.refused(error))?;
        Ok(Grant {
            nonce: Some(begun.nonce),
            ..granted(&reply)
        })
    }

    fn code_of(&self, begun: &Begun, query: &str) -> Result<String, LoginError> {
        let foreign = |because| LoginError::Foreign {
            issuer: self.issuer.clone(),
            because,
        };
        let pairs: Vec<_> = oauth2::url::form_urlencoded::parse(query.as_bytes()).collect();
        let one = |name: &str| {
            let mut found = pairs.iter().filter(|(key, _)| key == name);
            match (found.next(), found.next()) {
                (Some((_, value)), None) => Ok(Some(value.as_ref())),
                (None, None) => Ok(None),
                _ => Err(foreign("it says something twice")),
            }
        };
        if one("state")? != Some(begun.state.secret().as_str()) {
            return Err(foreign("its state is another one"));
        }
        let says = one("iss")?;
        let is_other = says.is_some_and(|issuer| sanitised(issuer) != self.issuer);
        if is_other || (says.is_none() && self.names_itself) {
            return Err(foreign("it is not of this issuer"));
        }
        if let Some(code) = one("error")? {
            return Err(LoginError::Refused {
                issuer: self.issuer.clone(),
                code: sanitised(code),
                said: one("error_description")?.map(sanitised),
            });
        }
        let code = one("code")?.filter(|code| !code.is_empty());
        Ok(code.ok_or_else(|| foreign("it has no code"))?.to_owned())
    }

    /// Asks for a code that the person types at another device.
    ///
    /// # Errors
    /// The issuer offers none, or says no.
    pub async fn begin_device(&self) -> Result<DeviceCode, LoginError> {
        let request = self.client.exchange_device_code();
        let request = request.map_err(|_| self.lacks("login by a device code"))?;
        let request = request.add_scopes(self.scopes.iter().cloned());
        let http = self.http();
        let reply = request.request_async(&http).await;
        let reply = reply.map_err(|error| self.refused(error))?;
        Ok(DeviceCode { reply })
    }

    /// Waits until the person has typed it, no longer than the code is good and no longer than `limit`. `pause` waits
    /// between two questions, for as long as the issuer asks for.
    ///
    /// # Errors
    /// The issuer says no, or it took too long.
    pub async fn finish_device<F: Future<Output = ()>>(
        &self,
        code: &DeviceCode,
        limit: Duration,
        pause: impl Fn(Duration) -> F,
    ) -> Result<Grant, LoginError> {
        let request = self.client.exchange_device_access_token(&code.reply);
        let request = request.map_err(|_| self.lacks("tokens"))?;
        let http = self.http();
        let reply = request.request_async(&http, pause, Some(limit)).await;
        reply
            .map(|reply| granted(&reply))
            .map_err(|error| self.refused(error))
    }

    /// Gets new tokens without a person.
    ///
    /// # Errors
    /// The issuer says no: the session is over.
    pub async fn refresh(&self, token: &Token) -> Result<Grant, LoginError> {
        let old = RefreshToken::new(token.expose().to_owned());
        let request = self.client.exchange_refresh_token(&old);
        let request = request.map_err(|_| self.lacks("tokens"))?;
        let http = self.http();
        let reply = request.request_async(&http).await;
        let reply = reply.map_err(|error| self.refused(error))?;
        let granted = granted(&reply);
        // The old one stays good where no new one comes (RFC 6749, section 6).
        let refresh_token = granted.refresh_token.or_else(|| Some(token.clone()));
        Ok(Grant {
            refresh_token,
            ..granted
        })
    }

    /// Gets a token for the client itself: no person logs in.
    ///
    /// # Errors
    /// The issuer says no.
    pub async fn as_client(&self) -> Result<Grant, LoginError> {
        let request = self.client.exchange_client_credentials();
        let request = request.map_err(|_| self.lacks("tokens"))?;
        // `openid` is for persons.
        let request = request.add_scopes(self.scopes.iter().skip(1).cloned());
        let http = self.http();
        let reply = request.request_async(&http).await;
        reply
            .map(|reply| granted(&reply))
            .map_err(|error| self.refused(error))
    }

    fn http(&self) -> impl Fn(HttpRequest) -> Exchange {
        let web = self.web.clone();
        move |request| {
            let web = web.clone();
            Box::pin(async move { web.send(request).await })
        }
    }

    fn lacks(&self, flow: &'static str) -> LoginError {
        LoginError::NotOffered {
            issuer: self.issuer.clone(),
            flow,
        }
    }

    /// An answer that cannot be read may hold a token: nothing of it is told.
    fn refused<T>(
        &self,
        error: RequestTokenError<IssuerError, StandardErrorResponse<T>>,
    ) -> LoginError
    where
        T: ErrorResponseType + fmt::Display + 'static,
        StandardErrorResponse<T>: ErrorResponse,
    {
        match error {
            RequestTokenError::ServerResponse(reply) => LoginError::Refused {
                issuer: self.issuer.clone(),
                code: sanitised(&reply.error().to_string()),
                said: reply.error_description().map(|said| sanitised(said)),
            },
            RequestTokenError::Request(error) => LoginError::Issuer(error),
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => LoginError::Foreign {
                issuer: self.issuer.clone(),
                because: "it cannot be read",
            },
        }
    }
}

/// One request to the issuer.
type Exchange = std::pin::Pin<Box<dyn Future<Output = Result<HttpResponse, IssuerError>> + Send>>;

fn granted(reply: &Reply) -> Grant {
    let refresh = reply.refresh_token();
    Grant {
        id_token: reply.extra_fields().id_token.clone().map(Token::new),
        access_token: Token::new(reply.access_token().secret().clone()),
        refresh_token: refresh.map(|token| Token::new(token.secret().clone())),
        expires_in: reply.expires_in(),
        nonce: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Login {
        let url = AuthUrl::new("https://login.example/auth".to_owned()).unwrap();
        let client = oauth2::Client::new(ClientId::new("kubectl".to_owned()))
            .set_auth_uri_option(Some(url))
            .set_token_uri_option(None)
            .set_device_authorization_url_option(None);
        Login {
            issuer: "https://login.example".to_owned(),
            client,
            web: Web {
                limit: Duration::from_secs(1),
                authorities: None,
                proxy: crate::client::EnvironmentProxy::default(),
            },
            scopes: ["openid", "offline_access"]
                .map(|scope| Scope::new(scope.to_owned()))
                .to_vec(),
            names_itself: true,
        }
    }

    fn begun() -> Begun {
        login().begin("http://127.0.0.1:9/callback", true).unwrap()
    }

    #[test]
    fn a_browser_is_sent_with_a_challenge_a_state_and_a_nonce() {
        let begun = begun();
        for part in [
            "https://login.example/auth?",
            "response_type=code",
            "client_id=kubectl",
            "code_challenge_method=S256",
            "scope=openid+offline_access",
            "prompt=login+consent",
            "max_age=0",
            "redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcallback",
        ] {
            assert!(begun.url.contains(part), "{part}: {}", begun.url);
        }
        assert!(begun.url.contains(&format!("nonce={}", begun.nonce)));
        assert!(!begun.url.contains(begun.verifier.secret()));
        assert!(!format!("{begun:?}").contains(begun.verifier.secret()));
    }

    #[test]
    fn only_the_answer_to_this_login_is_taken() {
        let (login, begun) = (login(), begun());
        let state = begun.state.secret().clone();
        let iss = "iss=https%3A%2F%2Flogin.example";
        let good = format!("code=c&state={state}&{iss}");
        assert_eq!(login.code_of(&begun, &good).unwrap(), "c");
        for (query, said) in [
            (
                format!("code=c&state=other&{iss}"),
                "its state is another one",
            ),
            (format!("code=c&{iss}"), "its state is another one"),
            (format!("code=c&state={state}"), "it is not of this issuer"),
            (
                format!("code=c&state={state}&iss=https%3A%2F%2Fevil.example"),
                "it is not of this issuer",
            ),
            (format!("code=c&code=d&state={state}&{iss}"), "twice"),
            (format!("state={state}&{iss}"), "it has no code"),
            (format!("code=&state={state}&{iss}"), "it has no code"),
            (
                format!("error=access_denied&error_description=no%1b&state={state}&{iss}"),
                "access_denied (no\\u{1b})",
            ),
            (String::new(), "its state is another one"),
            ("%".to_owned(), "its state is another one"),
        ] {
            let error = login.code_of(&begun, &query).unwrap_err().to_string();
            assert!(error.contains(said), "{query}: {error}");
        }
    }

    #[test]
    fn what_is_not_offered_is_named() {
        let mut lacking = login();
        lacking.client = lacking.client.clone().set_auth_uri_option(None);
        let error = lacking.begin("http://127.0.0.1:9/callback", false);
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "https://login.example offers no login by a browser");
        let redirect = login().begin("not an address", false);
        assert!(matches!(redirect, Err(LoginError::Setting { .. })));
    }

    #[test]
    fn nothing_that_is_secret_is_shown() {
        let extra = Extra {
            id_token: Some("a.b.c".to_owned()),
        };
        assert_eq!(format!("{extra:?}"), "Extra(…)");
        let grant = Grant {
            id_token: Some(Token::new("a.b.c")),
            access_token: Token::new("hunter2"),
            refresh_token: Some(Token::new("hunter3")),
            expires_in: None,
            nonce: None,
        };
        let shown = format!("{grant:?}");
        assert!(
            !shown.contains("hunter") && !shown.contains("a.b.c"),
            "{shown}"
        );
    }
}
