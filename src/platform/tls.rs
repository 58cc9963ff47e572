//! The cryptography of TLS connections.

/// Makes ring the cryptography provider of the process, which every HTTP client needs. A second call does nothing.
pub fn install_provider() {
    // An error only says that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
