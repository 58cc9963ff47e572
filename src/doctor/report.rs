//! The report with its findings.

use serde::Serialize;

/// The verdict of a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    #[default]
    Ok,
    /// It works now, but may not always.
    Warning,
    /// It does not work.
    Failure,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

/// The result of a check, which is a line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The name of the check, which stays the same from version to version.
    pub check: &'static str,
    pub status: Verdict,
    /// The result in words.
    pub detail: String,
    /// The advice on what to do, unless everything is fine.
    pub remedy: Option<String>,
}

impl Finding {
    pub fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, status: Verdict::Ok, detail: detail.into(), remedy: None }
    }

    pub fn warning(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, status: Verdict::Warning, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    pub fn failure(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, status: Verdict::Failure, detail: detail.into(), remedy: Some(remedy.into()) }
    }
}

/// All findings, and the worst verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub status: Verdict,
    pub checks: Vec<Finding>,
}

impl Report {
    pub fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.checks.extend(findings);
        self.status = self.checks.iter().map(|finding| finding.status).max().unwrap_or_default();
    }

    pub fn count(&self, status: Verdict) -> usize {
        self.checks.iter().filter(|finding| finding.status == status).count()
    }
}
