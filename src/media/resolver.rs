//! The resolver of host names, under the rules of the guard.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard::Guard;

/// A source of the addresses of a host.
#[async_trait]
pub trait Lookup: Send + Sync {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// A resolver that returns only the addresses that the guard allows. They are looked up once for each connection and
/// used as they were checked, so a name whose address changes in between gains nothing. A name may have forbidden
/// addresses beside allowed ones, for example where NAT64 adds some. Literal addresses are not resolved; they are
/// checked with the URL.
pub(super) struct GuardedResolver {
    pub(super) guard: Arc<Guard>,
    pub(super) lookup: Arc<dyn Lookup>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, lookup) = (self.guard.clone(), self.lookup.clone());
        Box::pin(async move {
            let addresses = lookup.addresses(name.as_str()).await?;
            let checked = |address| guard.check_address(address).map(|()| SocketAddr::new(address, 0));
            let (allowed, refused): (Vec<_>, Vec<_>) = addresses.into_iter().map(checked).partition(Result::is_ok);
            match refused.into_iter().next() {
                Some(Err(refusal)) if allowed.is_empty() => Err(refusal.into()),
                _ => Ok(Box::new(allowed.into_iter().flatten()) as Addrs),
            }
        })
    }
}
