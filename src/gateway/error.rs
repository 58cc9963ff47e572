//! The errors of requests to the gateway.

use std::time::Duration;

use reqwest::StatusCode;

use domain::instance::InstanceId;

/// An error of a request to the gateway, as one line for a person. It names only the host and port of the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    #[error("the gateway refuses the token of instance {0}; copy it again from its page in the panel")]
    TokenRefused(InstanceId),
    #[error("the gateway knows no instance {0}; is the id right, and BUZON_GATEWAY_URL the gateway's address?")]
    UnknownInstance(InstanceId),
    #[error("the gateway has no failed delivery {0}, or no longer")]
    UnknownDelivery(String),
    /// The answer was 429, and waiting did not help or would take too long.
    #[error("the gateway is asked too often (429); try again in {} seconds", .0.as_secs().max(1))]
    Busy(Duration),
    #[error("the gateway has a problem of its own ({0}); try again later")]
    ServerError(StatusCode),
    #[error("the gateway answers with a redirect ({0}); set BUZON_GATEWAY_URL to the address where it ends")]
    Redirect(StatusCode),
    #[error("the gateway refuses the request ({status}){reason}")]
    Refused { status: StatusCode, reason: String },
    /// The answer is something else, such as a page of a web site.
    #[error("what answers there is not the gateway's API: it sends {0} instead of JSON; is BUZON_GATEWAY_URL right?")]
    NotJson(String),
    #[error("the gateway's list of failed deliveries has a form that this version of buzon does not know")]
    UnknownForm,
    #[error("the gateway's answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the gateway gives no answer: {0}")]
    Unanswered(String),
}

impl GatewayError {
    /// Returns the code of the error, which stays the same from version to version.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TokenRefused(_) => "token_refused",
            Self::UnknownInstance(_) => "unknown_instance",
            Self::UnknownDelivery(_) => "unknown_delivery",
            Self::Busy(_) => "busy",
            Self::ServerError(_) => "trouble",
            Self::Redirect(_) => "redirect",
            Self::Refused { .. } => "refused",
            Self::NotJson(_) => "not_json",
            Self::UnknownForm => "unknown_form",
            Self::TooLarge(_) => "too_large",
            Self::Unanswered(_) => "unanswered",
        }
    }

    /// Returns whether the same request may succeed later without anybody changing anything.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::ServerError(_) | Self::Unanswered(_))
    }

    /// Returns whether the gateway understood the request and refused only this delivery.
    pub fn is_about_one(&self) -> bool {
        matches!(self, Self::UnknownDelivery(_) | Self::Refused { .. } | Self::ServerError(_))
    }
}
