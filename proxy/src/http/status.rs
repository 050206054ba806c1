//! Statuses of responses.

use http::StatusCode;

/// The status of this number, where a final response may have it: 200 to 599 (RFC 9110, section 15).
pub fn final_status(number: u32) -> Option<StatusCode> {
    let number = u16::try_from(number).ok().filter(|number| (200..=599).contains(number))?;
    StatusCode::from_u16(number).ok()
}

#[cfg(test)]
mod tests {
    use super::final_status;

    #[test]
    fn what_is_informational_or_no_class_is_not_final() {
        for number in [200, 204, 404, 599] {
            assert_eq!(final_status(number).map(|status| u32::from(status.as_u16())), Some(number));
        }
        for number in [0, 99, 100, 199, 600, 999, 0x1_00c8, u32::MAX] {
            assert_eq!(final_status(number), None, "{number}");
        }
    }
}
