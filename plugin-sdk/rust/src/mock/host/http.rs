//! The interfaces of `wit/http.wit`.

use crate::mock::state::{State, with};
use crate::{Field, HeaderError, MessageError};

/// The fields that belong to the proxy.
const FORBIDDEN: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Checks a field as the proxy does and gives its name in lower case (RFC 9110, sections 5.1 and 5.5).
fn checked(name: &str, value: &[u8]) -> Result<String, HeaderError> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(HeaderError::InvalidName);
    }
    let name = name.to_ascii_lowercase();
    if FORBIDDEN.contains(&name.as_str()) {
        return Err(HeaderError::Forbidden);
    }
    if value.iter().any(|byte| *byte != b'\t' && (*byte < 0x20 || *byte == 0x7f)) {
        return Err(HeaderError::InvalidValue);
    }
    Ok(name)
}

/// Which fields a function works on; nothing where they cannot be changed any more.
type Select = fn(&mut State) -> Option<&mut Vec<Field>>;

fn request_fields(state: &mut State) -> Option<&mut Vec<Field>> {
    state.request.as_mut().filter(|_| state.request_open).map(|request| &mut request.headers)
}

fn response_fields(state: &mut State) -> Option<&mut Vec<Field>> {
    state.response.as_mut().filter(|_| state.response_open).map(|response| &mut response.headers)
}

fn values(fields: &[Field], name: &str) -> Vec<Vec<u8>> {
    fields.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone()).collect()
}

fn put(select: Select, name: &str, value: Option<&[u8]>, replace: bool) -> Result<(), HeaderError> {
    let name = checked(name, value.unwrap_or_default())?;
    with(|state| {
        let fields = select(state).ok_or(HeaderError::TooLate)?;
        if replace {
            fields.retain(|(key, _)| *key != name);
        }
        fields.extend(value.map(|value| (name, value.to_vec())));
        Ok(())
    })
}

fn put_all(select: Select, fields: &[(&str, Option<&[u8]>)]) -> Result<(), HeaderError> {
    fields.iter().try_for_each(|(name, value)| checked(name, value.unwrap_or_default()).map(drop))?;
    fields.iter().try_for_each(|(name, value)| put(select, name, *value, true))
}

pub(crate) mod request {
    use super::*;
    use crate::mock::Request;

    fn read<T: Default>(read: impl FnOnce(&Request) -> T) -> T {
        with(|state| state.request.as_ref().map(read).unwrap_or_default())
    }

    fn change(valid: bool, change: impl FnOnce(&mut Request)) -> Result<(), MessageError> {
        if !valid {
            return Err(MessageError::Invalid);
        }
        with(|state| {
            let request = state.request.as_mut().filter(|_| state.request_open);
            request.map(change).ok_or(MessageError::TooLate)
        })
    }

    fn visible(text: &str) -> bool {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
    }

    pub(crate) fn method() -> String {
        read(|request| request.method.clone())
    }

    pub(crate) fn set_method(method: &str) -> Result<(), MessageError> {
        change(visible(method) && method != "CONNECT", |request| request.method = method.to_owned())
    }

    pub(crate) fn scheme() -> String {
        read(|request| request.scheme.clone())
    }

    pub(crate) fn authority() -> String {
        read(|request| request.authority.clone())
    }

    pub(crate) fn set_authority(authority: &str) -> Result<(), MessageError> {
        change(visible(authority), |request| request.authority = authority.to_owned())
    }

    pub(crate) fn path_with_query() -> String {
        read(|request| request.target.clone())
    }

    pub(crate) fn original_path_with_query() -> String {
        with(|state| state.original_target.clone()).unwrap_or_else(path_with_query)
    }

    pub(crate) fn set_path_with_query(target: &str) -> Result<(), MessageError> {
        let before = path_with_query();
        change(visible(target) && target.starts_with('/'), |request| request.target = target.to_owned())?;
        with(|state| state.original_target = state.original_target.take().or(Some(before)));
        Ok(())
    }

    pub(crate) fn header(name: &str) -> Option<Vec<u8>> {
        header_values(name).into_iter().next()
    }

    pub(crate) fn header_values(name: &str) -> Vec<Vec<u8>> {
        read(|request| values(&request.headers, name))
    }

    pub(crate) fn headers() -> Vec<Field> {
        read(|request| request.headers.clone())
    }

    pub(crate) fn set_header(name: &str, value: &[u8]) -> Result<(), HeaderError> {
        put(request_fields, name, Some(value), true)
    }

    pub(crate) fn add_header(name: &str, value: &[u8]) -> Result<(), HeaderError> {
        put(request_fields, name, Some(value), false)
    }

    pub(crate) fn remove_header(name: &str) -> Result<(), HeaderError> {
        put(request_fields, name, None, true)
    }

    pub(crate) fn set_headers(fields: &[(&str, Option<&[u8]>)]) -> Result<(), HeaderError> {
        put_all(request_fields, fields)
    }
}

pub(crate) mod response {
    use super::*;

    pub(crate) fn status() -> u16 {
        with(|state| state.response.as_ref().map_or(0, |response| response.status))
    }

    pub(crate) fn set_status(status: u16) -> Result<(), MessageError> {
        if !(200..600).contains(&status) {
            return Err(MessageError::Invalid);
        }
        with(|state| {
            let response = state.response.as_mut().filter(|_| state.response_open);
            response.map(|response| response.status = status).ok_or(MessageError::TooLate)
        })
    }

    pub(crate) fn header(name: &str) -> Option<Vec<u8>> {
        header_values(name).into_iter().next()
    }

    pub(crate) fn header_values(name: &str) -> Vec<Vec<u8>> {
        values(&headers(), name)
    }

    pub(crate) fn headers() -> Vec<Field> {
        with(|state| state.response.as_ref().map(|response| response.headers.clone()).unwrap_or_default())
    }

    pub(crate) fn set_header(name: &str, value: &[u8]) -> Result<(), HeaderError> {
        put(response_fields, name, Some(value), true)
    }

    pub(crate) fn add_header(name: &str, value: &[u8]) -> Result<(), HeaderError> {
        put(response_fields, name, Some(value), false)
    }

    pub(crate) fn remove_header(name: &str) -> Result<(), HeaderError> {
        put(response_fields, name, None, true)
    }

    pub(crate) fn set_headers(fields: &[(&str, Option<&[u8]>)]) -> Result<(), HeaderError> {
        put_all(response_fields, fields)
    }

    pub(crate) fn prepare_headers(fields: &[(&str, &[u8])]) -> Result<Vec<Field>, HeaderError> {
        let fields: Result<Vec<Field>, HeaderError> =
            fields.iter().map(|(name, value)| Ok((checked(name, value)?, value.to_vec()))).collect();
        let fields = fields?;
        with(|state| {
            if state.request.is_none() || state.response.is_some() {
                return Err(HeaderError::TooLate);
            }
            let new = |known: &Field| fields.iter().any(|(name, _)| *name == known.0);
            let (replaced, kept) = std::mem::take(&mut state.prepared).into_iter().partition(new);
            state.prepared = kept;
            state.prepared.extend(fields);
            Ok(replaced)
        })
    }
}

pub(crate) mod body {
    use super::*;

    pub(crate) fn size() -> u64 {
        with(|state| state.body.len() as u64)
    }

    pub(crate) fn read(offset: u64, length: u64) -> Vec<u8> {
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        let take = usize::try_from(length).unwrap_or(usize::MAX);
        with(|state| state.body.iter().copied().skip(skip).take(take).collect())
    }

    pub(crate) fn replace(bytes: &[u8]) {
        with(|state| state.body = bytes.to_vec());
    }
}

pub(crate) mod reply {
    use super::*;

    pub(crate) fn send(status: u16, headers: &[&Field], body: &[u8]) -> Result<(), HeaderError> {
        let checked: Result<Vec<Field>, HeaderError> =
            headers.iter().map(|(name, value)| Ok((checked(name, value)?, value.clone()))).collect();
        let headers = checked?;
        with(|state| state.reply = Some((status, headers, body.to_vec())));
        Ok(())
    }

    pub(crate) fn fail(reason: &str) {
        with(|state| state.failure = Some(reason.to_owned()));
    }
}

pub(crate) mod connection {
    use super::*;
    use crate::bindings::gofe::plugin::connection::{Report, Summary, Tls};
    use crate::clock::nanoseconds;

    pub(crate) fn client_address() -> String {
        with(|state| state.request.as_ref().map(|request| request.client.0.clone()).unwrap_or_default())
    }

    pub(crate) fn client_port() -> u16 {
        with(|state| state.request.as_ref().map_or(0, |request| request.client.1))
    }

    pub(crate) fn route() -> String {
        with(|state| state.request.as_ref().map(|request| request.route.clone()).unwrap_or_default())
    }

    pub(crate) fn http_version() -> String {
        with(|state| state.request.as_ref().map(|request| request.version.clone()).unwrap_or_default())
    }

    pub(crate) fn tls_info() -> Option<Tls> {
        with(|state| state.request.as_ref().and_then(|request| request.tls.clone()))
    }

    /// The chosen upstream, or `default`, once there is a response that is not the plugin's own.
    pub(crate) fn upstream() -> Option<(String, String)> {
        with(|state| {
            let used = state.response.is_some() && state.reply.is_none() && state.failure.is_none();
            let name = state.upstream.clone().unwrap_or_else(|| "default".to_owned());
            used.then(|| (name, "192.0.2.100:9000".to_owned()))
        })
    }

    pub(crate) fn report_so_far() -> Report {
        let summary = summary_so_far();
        let (upstream, endpoint) = upstream().unwrap_or_default();
        let original = with(|state| state.original_target.clone()).unwrap_or_default();
        let texts = [
            client_address(),
            route(),
            request::method(),
            request::scheme(),
            request::authority(),
            request::path_with_query(),
            original,
            http_version(),
            upstream,
            endpoint,
            summary.error.unwrap_or_default(),
        ];
        Report {
            time: crate::host::clock::now(),
            duration: summary.duration,
            upstream_duration: summary.upstream_duration,
            request_bytes: summary.request_bytes,
            response_bytes: summary.response_bytes,
            status: response::status(),
            client_port: client_port(),
            texts: texts.map(|text| text + "\n").concat(),
        }
    }

    pub(crate) fn summary_so_far() -> Summary {
        with(|state| Summary {
            duration: nanoseconds(state.summary.duration),
            upstream_duration: state.summary.upstream_duration.map(nanoseconds),
            request_bytes: state.summary.request_bytes,
            response_bytes: state.summary.response_bytes,
            error: state.summary.error.clone(),
        })
    }
}

pub(crate) mod attributes {
    use super::*;

    const MOST: usize = 64;
    const MOST_BYTES: usize = 64 * 1024;

    pub(crate) fn get(name: &str) -> Option<Vec<u8>> {
        with(|state| state.attributes.get(name).cloned())
    }

    pub(crate) fn set(name: &str, value: &[u8]) -> bool {
        with(|state| {
            let others = state.attributes.iter().filter(|(key, _)| *key != name);
            let (count, bytes) = others.fold((1, name.len() + value.len()), |(count, bytes), (key, value)| {
                (count + 1, bytes + key.len() + value.len())
            });
            let fits = count <= MOST && bytes <= MOST_BYTES;
            if fits {
                state.attributes.insert(name.to_owned(), value.to_vec());
            }
            fits
        })
    }

    pub(crate) fn remove(name: &str) {
        with(|state| state.attributes.remove(name));
    }
}

pub(crate) mod routing {
    use super::*;
    use std::time::Duration;

    use crate::bindings::gofe::plugin::routing::RetryPolicy;
    use crate::clock::nanoseconds;
    use crate::{RoutingError, mock};

    const A_DAY: u64 = 24 * 60 * 60 * 1_000_000_000;

    pub(crate) fn set_upstream(name: &str) -> Result<(), RoutingError> {
        with(|state| match (state.upstreams.contains_key(name), state.request_open) {
            (false, _) => Err(RoutingError::Unknown),
            (_, false) => Err(RoutingError::TooLate),
            _ => {
                state.upstream = Some(name.to_owned());
                Ok(())
            }
        })
    }

    pub(crate) fn set_subset(labels: &[(&str, &str)]) -> Result<(), RoutingError> {
        with(|state| {
            let has = |endpoint: &Vec<(String, String)>| labels.iter().all(|label| endpoint.contains(&owned(label)));
            let mut candidates =
                state.upstreams.iter().filter(|(name, _)| state.upstream.as_ref().is_none_or(|chosen| chosen == *name));
            if !candidates.any(|(_, endpoints)| endpoints.iter().any(has)) {
                return Err(RoutingError::Unknown);
            }
            state.subset = labels.iter().map(owned).collect();
            Ok(())
        })
    }

    fn owned((name, value): &(&str, &str)) -> (String, String) {
        ((*name).to_owned(), (*value).to_owned())
    }

    pub(crate) fn has_upstream(name: &str) -> bool {
        with(|state| state.upstreams.contains_key(name))
    }

    pub(crate) fn upstream() -> Option<String> {
        with(|state| state.upstream.clone().or_else(|| state.request.as_ref()?.upstream.clone()))
    }

    pub(crate) fn set_hash_key(key: &str) -> Result<(), RoutingError> {
        open(|request| request.hash_key = Some(key.to_owned())).ok_or(RoutingError::TooLate)
    }

    pub(crate) fn timeout() -> u64 {
        with(|state| state.request.as_ref().map_or(0, |request| nanoseconds(request.timeout)))
    }

    pub(crate) fn set_timeout(timeout: u64) -> Result<(), MessageError> {
        if !(1..=A_DAY).contains(&timeout) {
            return Err(MessageError::Invalid);
        }
        open(|request| request.timeout = Duration::from_nanos(timeout)).ok_or(MessageError::TooLate)
    }

    pub(crate) fn retry() -> Option<RetryPolicy> {
        with(|state| state.request.as_ref()?.retry.map(crate::RetryPolicy::into))
    }

    pub(crate) fn set_retry(policy: Option<RetryPolicy>) -> Result<(), MessageError> {
        let valid = |policy: &RetryPolicy| {
            (1..=10).contains(&policy.attempts) && policy.per_try_timeout.is_none_or(|time| (1..=A_DAY).contains(&time))
        };
        if !policy.as_ref().is_none_or(valid) {
            return Err(MessageError::Invalid);
        }
        open(|request| request.retry = policy.map(crate::RetryPolicy::from)).ok_or(MessageError::TooLate)
    }

    /// Changes how the request is sent, while it can be changed.
    fn open(change: impl FnOnce(&mut mock::Request)) -> Option<()> {
        with(|state| state.request.as_mut().filter(|_| state.request_open).map(change))
    }
}
