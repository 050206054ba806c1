//! What hosts of `wasi:http` refuse. In 0.2 and 0.3 the types have the same names, and this file is in the guests of both.

use super::{Fields, Method, Request, Scheme};

/// What of these the host does not take: fields, parts of a request that is new, and fields of one that is made.
pub(super) fn refused(request: &Request, sealed: &Fields) -> String {
    let fields = Fields::new();
    let names =
        ["host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "", "x a", "x\n"];
    let names = names.into_iter().filter(|name| fields.append(name, b"1").is_err()).map(str::trim).collect::<Vec<_>>();
    let values = ["a\r\nb", "a\0", "fine"];
    let values = values.iter().filter(|value| fields.append("x-a", value.as_bytes()).is_err()).count();
    let lengths = ["+5", "-5", "5, 5", "0x5", "", "5"];
    let lengths = lengths.iter().filter(|length| fields.append("content-length", length.as_bytes()).is_err()).count();
    let second = fields.append("content-length", b"6").is_err();
    let methods = ["G T", "", "GET\r\nx: y", "PURGE"];
    let methods =
        methods.iter().filter(|name| request.set_method(&Method::Other((**name).to_owned())).is_err()).count();
    let paths = ["x", "http://other/", "/a b", "/\r\nx: y", "/fine"];
    let paths = paths.iter().filter(|path| request.set_path_with_query(Some(path)).is_err()).count();
    let hosts = ["a b", "a/b", "", "a\r\nx: y", "fine:80"];
    let hosts = hosts.iter().filter(|host| request.set_authority(Some(host)).is_err()).count();
    let schemes = ["a b", "", "fine"];
    let schemes =
        schemes.iter().filter(|name| request.set_scheme(Some(&Scheme::Other((**name).to_owned()))).is_err()).count();
    let immutable = sealed.append("x-a", b"1").is_err();
    format!(
        "{} values={values} lengths={lengths} second={second} methods={methods} paths={paths} hosts={hosts} \
         schemes={schemes} immutable={immutable}",
        names.join(",")
    )
}

/// How many fields of a kilobyte there is room for.
pub(super) fn room() -> usize {
    let (fields, value) = (Fields::new(), [b'a'; 1024]);
    (0..1000).take_while(|number| fields.append(&format!("x-{number}"), &value).is_ok()).count()
}
