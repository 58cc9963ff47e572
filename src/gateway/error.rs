use std::time::Duration;

use reqwest::StatusCode;

use domain::instance::InstanceId;

/// Errors of requests to the gateway, as one line for a person. They name nothing of the URL but its host and port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    #[error("the gateway refuses the token of instance {0}; copy it again from its page in the panel")]
    TokenRefused(InstanceId),
    #[error("the gateway knows no instance {0}; is the id right, and BUZON_GATEWAY_URL the gateway's address?")]
    UnknownInstance(InstanceId),
    #[error("the gateway has no failed delivery {0}, or no longer")]
    UnknownDelivery(String),
    /// 429, and waiting was of no use or would take too long.
    #[error("the gateway is asked too often (429); come again in {} seconds", .0.as_secs().max(1))]
    Busy(Duration),
    #[error("the gateway has trouble of its own ({0}); try again later")]
    Trouble(StatusCode),
    #[error("the gateway answers with a redirect ({0}); set BUZON_GATEWAY_URL to the address where it ends")]
    Redirect(StatusCode),
    #[error("the gateway refuses it ({status}){said}")]
    Refused { status: StatusCode, said: String },
    /// Such as a page of a web site.
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
    /// The word that stays the same from version to version.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TokenRefused(_) => "token_refused",
            Self::UnknownInstance(_) => "unknown_instance",
            Self::UnknownDelivery(_) => "unknown_delivery",
            Self::Busy(_) => "busy",
            Self::Trouble(_) => "trouble",
            Self::Redirect(_) => "redirect",
            Self::Refused { .. } => "refused",
            Self::NotJson(_) => "not_json",
            Self::UnknownForm => "unknown_form",
            Self::TooLarge(_) => "too_large",
            Self::Unanswered(_) => "unanswered",
        }
    }

    /// Whether the same request may be answered another time, without anybody mending something.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Trouble(_) | Self::Unanswered(_))
    }

    /// Whether the gateway took the request for what it is, and said no to this delivery alone.
    pub fn is_about_one(&self) -> bool {
        matches!(self, Self::UnknownDelivery(_) | Self::Refused { .. } | Self::Trouble(_))
    }
}
