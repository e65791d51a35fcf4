//! The keys of each level of the file.
//!
//! They stand in one place because the message about an unknown key names the levels that know it.

/// At the top level.
pub(super) const ROOT: &[&str] = &[
    "ingress",
    "access",
    "state",
    "listen",
    "admin",
    "limits",
    "trusted_proxies",
    "public_port",
    "public_ports",
    "insecure_public_scheme",
    "originRequest",
    "tests",
    "lint",
];

/// In a rule of `ingress`.
pub(super) const INGRESS_RULE: &[&str] = &["hostname", "path", "service", "originRequest"];

/// Below `originRequest`, those with an effect.
pub(super) const ORIGIN_REQUEST: &[&str] = &[
    "connectTimeout",
    "tlsTimeout",
    "tcpKeepAlive",
    "noHappyEyeballs",
    "keepAliveConnections",
    "keepAliveTimeout",
    "httpHostHeader",
    "originServerName",
    "matchSNItoHost",
    "disableChunkedEncoding",
    "max_collected_body_bytes",
    "caPool",
    "noTLSVerify",
    "http2Origin",
    "response_header_timeout",
];

/// Below `access`.
pub(super) const ACCESS: &[&str] = &[
    "team_domain",
    "transfer_host",
    "session_duration",
    "idle_timeout",
    "applications",
    "groups",
    "lists",
    "policies",
    "service_tokens",
    STRICT_SERVICE_TOKEN_AUTH,
    "one_time_pin",
    "key_rotation",
    "external_evaluation",
    "mail",
    "facts",
    "issuer",
];

/// Below `access.one_time_pin`.
pub(super) const ONE_TIME_PIN: &[&str] = &["id", "expires_in", "attempts", "digits", "limits"];

/// Below `access.one_time_pin.limits`, beside those of `OneTimePinLimits`.
pub(super) const ONE_TIME_PIN_DURATIONS: &[&str] = &[SHARED_CODE_EVERY, REMEMBER_NETWORKS_FOR];

/// Below `access.key_rotation`.
pub(super) const KEY_ROTATION: &[&str] = &["interval", "announce", "overlap", "rsa_bits"];

/// Below `access.external_evaluation`.
pub(super) const EXTERNAL_EVALUATION: &[&str] = &["timeout", "recheck_every", "serve_stale_up_to"];

/// Below `access.issuer`.
pub(super) const ISSUER: &[&str] =
    &["team_domain", "certs_url", "algorithms", "get_identity", "leeway", "key_refresh"];

/// Below `access.facts`.
pub(super) const FACTS: &[&str] = &["geoip_database", "country_header", "certificate_headers"];

/// Below `access.mail`.
pub(super) const MAIL: &[&str] = &["console", "smtp"];

/// Below `access.mail.smtp`.
pub(super) const SMTP: &[&str] =
    &["host", "port", "from", "tls", "username", "password_file", "dangerous_plaintext", "timeout"];

/// Below `state`.
pub(super) const STATE: &[&str] = &["file", "redis", "secret_file"];

/// Below `state.redis`.
pub(super) const REDIS: &[&str] = &[
    "url",
    "username",
    "password_file",
    "ca_file",
    "prefix",
    "secret_file",
    "timeout",
    "members_per_set",
];

/// Below `admin`.
pub(super) const ADMIN: &[&str] = &["listen", "token_file", "token", "dangerous_listen_anywhere"];

/// Below `limits`.
pub(super) const LIMITS: &[&str] = &["listen", "admin", "token_cache_bytes"];

/// Below `limits.listen` and `limits.admin`.
pub(super) const LISTENER: &[&str] = &[
    "max_connections",
    "header_read_timeout",
    "max_header_bytes",
    "idle_timeout",
    "grace_period",
    "max_drained_bytes",
    "drain_timeout",
    "max_drains",
    "linger_timeout",
    "max_http2_streams",
    "http2_ping_interval",
    "http2_ping_timeout",
];

/// In an application, those with an effect.
pub(super) const APPLICATION: &[&str] = &[
    "id",
    "aud",
    "name",
    "domain",
    "destinations",
    "self_hosted_domains",
    "type",
    "session_duration",
    "policies",
    "http_only_cookie_attribute",
    "same_site_cookie_attribute",
    "custom_deny_message",
    "service_auth_401_redirect",
    "enable_binding_cookie",
    "insecure_allow_encoded_slashes",
    "insecure_allow_doubled_slashes",
    "insecure_allow_backslashes",
    "insecure_allow_path_parameters",
    "insecure_allow_control_characters",
    "insecure_allow_double_escapes",
    "insecure_allow_invalid_escapes",
    "insecure_allow_invalid_utf8",
    "insecure_allow_unescaped_characters",
    "insecure_case_sensitive_origin",
    "insecure_allow_shared_caching",
    "cors_headers",
    "options_preflight_bypass",
    "custom_deny_url",
    "custom_non_identity_deny_url",
    "path_cookie_attribute",
    "read_service_tokens_from_header",
    "allowed_idps",
    "skip_interstitial",
];

/// Below `cors_headers` of an application.
pub(super) const CORS: &[&str] = &[
    "allow_all_headers",
    "allow_all_methods",
    "allow_all_origins",
    "allow_credentials",
    "allowed_headers",
    "allowed_methods",
    "allowed_origins",
    "max_age",
];

/// In `ACCESS`.
pub(super) const STRICT_SERVICE_TOKEN_AUTH: &str = "strict_service_token_auth";
/// In `ONE_TIME_PIN_DURATIONS`.
pub(super) const SHARED_CODE_EVERY: &str = "shared_code_every";
/// In `ONE_TIME_PIN_DURATIONS`.
pub(super) const REMEMBER_NETWORKS_FOR: &str = "remember_networks_for";
