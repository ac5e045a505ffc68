//! Rules of a bucket that take objects away: for what must stay until it is deleted by its owner.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule};

use super::super::store::StoreError;
use super::client::{ANSWER_LIMIT, S3, within};

impl S3 {
    /// The names of enabled rules that expire objects below our prefix, or move them to where they cannot
    /// be read at once.
    pub async fn rules_that_take_objects_away(&self) -> Result<Vec<String>, StoreError> {
        let request = self
            .client
            .get_bucket_lifecycle_configuration()
            .bucket(&self.location.bucket);
        let rules = match within(ANSWER_LIMIT, request.send()).await? {
            Ok(answer) => answer.rules.unwrap_or_default(),
            Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => Vec::new(),
            Err(error) => return Err(self.failed(&error)),
        };
        let own = self.full_key("");
        let meant = rules.iter().filter(|rule| takes_away(rule, &own));
        Ok(meant
            .map(|rule| rule.id().unwrap_or("without a name").to_owned())
            .collect())
    }
}

/// Whether a rule takes objects away that are below a prefix and have no tags.
fn takes_away(rule: &LifecycleRule, own: &str) -> bool {
    let filter = rule.filter();
    let of_both = filter.and_then(|filter| filter.and());
    let is_for_tags = filter.is_some_and(|filter| filter.tag().is_some())
        || of_both.is_some_and(|both| !both.tags().is_empty());
    #[allow(deprecated, reason = "old rules have their prefix there")]
    let prefix = filter
        .and_then(|filter| filter.prefix())
        .or_else(|| of_both.and_then(|both| both.prefix()))
        .or_else(|| rule.prefix())
        .unwrap_or_default();
    let is_ours = own.starts_with(prefix) || prefix.starts_with(own);
    let expires = rule
        .expiration()
        .is_some_and(|expiration| expiration.days().is_some() || expiration.date().is_some());
    *rule.status() == ExpirationStatus::Enabled
        && is_ours
        && !is_for_tags
        && (expires || !rule.transitions().is_empty())
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{LifecycleExpiration, LifecycleRuleFilter};

    use super::*;

    #[test]
    fn a_rule_counts_if_it_meets_our_prefix() -> Result<(), Box<dyn std::error::Error>> {
        let rule = |prefix: &str, status| {
            LifecycleRule::builder()
                .filter(LifecycleRuleFilter::builder().prefix(prefix).build())
                .expiration(LifecycleExpiration::builder().days(3).build())
                .status(status)
                .build()
        };
        let enabled = ExpirationStatus::Enabled;
        for (prefix, counts) in [("", true), ("a/", true), ("a/log/x", true), ("b/", false)] {
            let rule = rule(prefix, enabled.clone())?;
            assert_eq!(takes_away(&rule, "a/log/"), counts, "{prefix:?}");
        }
        assert!(!takes_away(
            &rule("", ExpirationStatus::Disabled)?,
            "a/log/"
        ));
        Ok(())
    }
}
