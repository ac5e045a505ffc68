//! Options of an object, in terms of the SDK.

use std::fmt::Write as _;

use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::types::{ObjectCannedAcl, RequestPayer, ServerSideEncryption, StorageClass};

use super::location::{Encryption, ObjectOptions};

impl ObjectOptions {
    /// Adds the options to a put.
    pub(super) fn apply(&self, put: PutObjectFluentBuilder) -> PutObjectFluentBuilder {
        let tags = (!self.tags.is_empty()).then(|| self.tagging());
        let put = put
            .set_acl(self.acl.as_deref().map(ObjectCannedAcl::from))
            .set_storage_class(self.storage_class.as_deref().map(StorageClass::from))
            .set_tagging(tags)
            .set_request_payer(self.payer());
        match &self.encryption {
            Encryption::OfBucket => put,
            Encryption::S3 => put.server_side_encryption(ServerSideEncryption::Aes256),
            Encryption::Kms(key) => put
                .server_side_encryption(ServerSideEncryption::AwsKms)
                .ssekms_key_id(key),
        }
    }

    /// Who pays for a request; `None` is the bucket's owner.
    pub(super) fn payer(&self) -> Option<RequestPayer> {
        self.requester_pays.then_some(RequestPayer::Requester)
    }

    /// The tags, encoded as in the query of a URL.
    fn tagging(&self) -> String {
        let tags = self.tags.iter();
        let tags = tags.map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        tags.collect::<Vec<_>>().join("&")
    }
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _always = write!(out, "%{byte:02X}");
        }
        out
    })
}
