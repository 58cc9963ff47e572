//! The cryptography behind every TLS connection.

/// Makes ring the provider of the process. Every HTTP client needs one; to ask again is harmless.
pub fn install_provider() {
    // An error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
