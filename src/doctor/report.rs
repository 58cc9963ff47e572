use serde::Serialize;

/// How something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    #[default]
    Ok,
    /// It works, and will not always.
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

/// A line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at; the word stays the same from version to version.
    pub check: &'static str,
    pub status: Verdict,
    /// What was found.
    pub detail: String,
    /// What to do, unless all is well.
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

/// Everything that was found, and the worst of it.
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
