//! The requests of the read API, as handlers take them as an argument.

use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::pages::{ListResponse, PageParameters};
use super::parameters::{Both, NoParameters, QueryParameters, read};
use crate::http::ApiState;
use crate::http::auth::access::Caller;
use crate::http::limits::response_memory::ReservedResponse;
use crate::http::problem::Problem;
use domain::access::scope::Scope;
use domain::instance::InstanceId;
use domain::page::{Page, Paging, SortKey};
use store::{Store, StoreError};

/// A request of a caller, with its parameters and the memory for its response.
pub struct ApiRequest<P = NoParameters> {
    pub api: Data<ApiState>,
    pub caller: Caller,
    pub parameters: P,
    pub response: ReservedResponse,
    http: HttpRequest,
}

impl<P: QueryParameters> FromRequest for ApiRequest<P> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let api = request.app_data::<Data<ApiState>>().cloned();
        let caller = request.extensions().get::<Caller>().cloned();
        let http = request.clone();
        Box::pin(async move {
            let (api, caller) = api.zip(caller).ok_or(Problem::TokenMissing)?;
            let response = api.memory.reserve(caller.token).await?;
            Ok(Self { api, caller, parameters: read(&http)?, response, http })
        })
    }
}

impl<P> ApiRequest<P> {
    /// Runs a query.
    ///
    /// # Errors
    /// 503 if the database does not answer.
    pub async fn ask<T: Send + 'static, F>(&self, query: impl FnOnce(Arc<dyn Store>, Scope) -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let scope = self.caller.scope.clone();
        self.api.store.ask(|store| query(store, scope)).await
    }

    /// Answers with a single object and its `ETag`. The body is left out if the client has this version.
    ///
    /// # Errors
    /// 400 if it is larger than any response; 503 if it is larger than a page, and the memory for the rest is not free.
    pub fn item(self, item: &impl Serialize) -> Result<HttpResponse, Problem> {
        self.response.item(&self.http, item)
    }
}

impl ApiRequest<PageParameters> {
    /// Answers with a page of the rows that `query` finds, each shown by `view`. `list` names the list for its cursors.
    ///
    /// # Errors
    /// Parameters that do not fit together; 503 if the database does not answer.
    pub async fn page<R, V, K, F>(
        self,
        list: &str,
        view: fn(R) -> V,
        query: impl FnOnce(Arc<dyn Store>, Scope, Paging<K>) -> F,
    ) -> Result<HttpResponse, Problem>
    where
        R: Send + 'static,
        V: Serialize,
        K: Serialize + DeserializeOwned + Clone + Send + 'static,
        F: Future<Output = Result<Page<R, K>, StoreError>> + Send + 'static,
    {
        let paging = self.parameters.paging(list, &self.api.local_time.zone)?;
        let page = self.ask(|store, scope| query(store, scope, paging)).await?;
        self.response.json(&ListResponse::new(list, page.map(view)))
    }

    /// Answers with an empty page, if the parameters are valid for the list.
    ///
    /// # Errors
    /// Parameters that do not fit together.
    pub fn empty_page<V: Serialize>(self, list: &str) -> Result<HttpResponse, Problem> {
        self.parameters.paging::<SortKey>(list, &self.api.local_time.zone)?;
        self.response.json(&ListResponse::<V>::empty())
    }
}

/// A request for a page of a list, with the parameters of its filter.
pub type ListRequest<F> = ApiRequest<Both<F, PageParameters>>;

impl<F> ListRequest<F> {
    /// Separates the parameters of the filter from those of the page.
    pub fn split(self) -> (F, ApiRequest<PageParameters>) {
        let Self { api, caller, parameters: Both(filter, parameters), response, http } = self;
        (filter, ApiRequest { api, caller, parameters, response, http })
    }
}

/// The instance of a key in a path, if the caller may see it. No column holds a NUL, and PostgreSQL refuses a query with
/// one.
pub fn visible(caller: &Caller, instance_id: &str, id: &str) -> Option<InstanceId> {
    let instance_id = InstanceId::new(instance_id).ok()?;
    (caller.scope.allows(&instance_id) && !id.contains('\0')).then_some(instance_id)
}
