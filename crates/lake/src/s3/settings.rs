//! The SDK's client for a bucket.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{IdentityCache, RequestChecksumCalculation, ResponseChecksumValidation};

use super::credentials::Reloading;
use super::location::Location;

/// Longest time to open a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Region for compatible stores: most accept any region, but the SDK requires one.
const ANY_REGION: &str = "us-east-1";

/// A client, with its credentials and its region.
pub(super) struct Settings {
    pub(super) client: Client,
    pub(super) credentials: Reloading,
    /// The region that requests are signed for.
    pub(super) region: Option<String>,
}

impl Settings {
    /// Makes the client for a location without connecting.
    pub(super) async fn of(location: &Location) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_LIMIT)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            // The SDK's own protection treats a body as stalled while its bytes wait in the
            // kernel's buffer.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(region) = &location.region {
            loader = loader.region(Region::new(region.clone()));
        } else if location.endpoint.is_some() && std::env::var_os("AWS_REGION").is_none() {
            loader = loader.region(
                aws_config::meta::region::RegionProviderChain::default_provider()
                    .or_else(Region::new(ANY_REGION)),
            );
        }
        let shared = loader.load().await;
        let credentials = Reloading::new(shared.region().cloned());
        let has_endpoint = location.endpoint.is_some() || shared.endpoint_url().is_some();
        let mut config = aws_sdk_s3::config::Builder::from(&shared)
            .credentials_provider(credentials.clone())
            // The provider has a cache of its own, which it can clear.
            .identity_cache(IdentityCache::no_cache())
            .force_path_style(location.path_style.unwrap_or(has_endpoint));
        if let Some(endpoint) = &location.endpoint {
            config = config.endpoint_url(&endpoint.url);
        }
        // The SDK's default is a trailing checksum in chunks, which many stores refuse.
        if has_endpoint && std::env::var_os("AWS_REQUEST_CHECKSUM_CALCULATION").is_none() {
            config = config
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        }
        Self {
            client: Client::from_conf(config.build()),
            credentials,
            region: shared.region().map(ToString::to_string),
        }
    }
}
