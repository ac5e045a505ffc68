//! Reads the two fields of a certificate (RFC 5280, section 4.1) that we parse ourselves: the date until which it is
//! valid, and its public key.

use crate::clock::Micros;
use crate::rfc3339;

/// Tags of DER.
const EXPLICIT_VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The `notAfter` of a certificate in DER; `None` if the bytes are no certificate.
pub(super) fn not_after(certificate: &[u8]) -> Option<Micros> {
    let (_, validity, _) = element(from_validity(certificate)?)?;
    let (_, _not_before, rest) = element(validity)?;
    let (tag, time, _) = element(rest)?;
    let text = std::str::from_utf8(time).ok()?;
    let text = match tag {
        // A year of two digits means 1950 to 2049.
        UTC_TIME => format!("{}{text}", if text < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| text.get(from..to);
    rfc3339::parse(&format!(
        "{}-{}-{}T{}:{}:{}",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 15)?
    ))
}

/// The public key of a certificate in DER, as a `SubjectPublicKeyInfo`; `None` if the bytes are no certificate.
pub(super) fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let (_, _validity, fields) = element(from_validity(certificate)?)?;
    let (_, _subject, fields) = element(fields)?;
    let (_, _, behind) = element(fields)?;
    fields.get(..fields.len() - behind.len())
}

/// The fields of a certificate from its validity on.
fn from_validity(certificate: &[u8]) -> Option<&[u8]> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    let (tag, _, behind_version) = element(fields)?;
    if tag == EXPLICIT_VERSION {
        fields = behind_version;
    }
    // Three fields come before the validity: serial number, algorithm, issuer.
    for _ in 0..3 {
        (_, _, fields) = element(fields)?;
    }
    Some(fields)
}

/// Tag and content of the first element, and the bytes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, first, rest @ ..] = bytes else {
        return None;
    };
    let (length, rest) = match first {
        0x00..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits
                .iter()
                .fold(0, |length, digit| length << 8 | usize::from(*digit));
            (length, rest)
        }
        _ => return None,
    };
    let (content, behind) = rest.split_at_checked(length)?;
    Some((*tag, content, behind))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use rcgen::{CertificateParams, KeyPair, PublicKeyData as _, date_time_ymd};

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 11, 5);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_of_a_certificate_is_found_in_both_forms() {
        for year in [1999, 2027, 2049, 2050, 4096] {
            let found = not_after(&certificate(year)).map(|time| time.to_string());
            let expected = format!("{year}-11-05T00:00:00.000000Z");
            assert_eq!(found, Some(expected));
        }
    }

    #[test]
    fn the_public_key_is_the_one_that_was_certified() {
        let params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let expected = key.subject_public_key_info();
        assert_eq!(public_key(certificate.der()), Some(&expected[..]));
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let whole = certificate(2027);
        for end in 0..whole.len() {
            assert_eq!(not_after(&whole[..end]), None);
            assert_eq!(public_key(&whole[..end]), None);
        }
        for index in 0..whole.len().min(200) {
            let mut bent = whole.clone();
            bent[index] ^= 0x81;
            let _no_panic = (not_after(&bent), public_key(&bent));
        }
    }
}
