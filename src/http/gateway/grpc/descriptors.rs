//! What is served over gRPC, in protobuf's own words (`google/protobuf/descriptor.proto`): services, and of their messages the fields that are
//! read or written here. A field that is not here can still be sent, and is passed over.
//!
//! Written by hand beside `proto.rs`, for nothing is compiled by `protoc`. A name of a type without a dot in front is of the file's own package.

use std::sync::LazyLock;

use prost::Message;

/// A file as it is served.
pub(super) struct Served {
    pub(super) name: &'static str,
    pub(super) imports: &'static [&'static str],
    /// Services, methods, messages and enums, in full.
    pub(super) symbols: Vec<String>,
    /// Its `FileDescriptorProto`.
    pub(super) bytes: Vec<u8>,
}

/// Every file, those that others import among them.
pub(super) static SERVED: LazyLock<Vec<Served>> = LazyLock::new(|| FILES.iter().map(File::served).collect());

/// The services.
pub(super) fn services() -> impl Iterator<Item = String> {
    FILES.iter().filter_map(|file| Some(format!("{}.{}", file.package, file.service?.name)))
}

struct File {
    name: &'static str,
    package: &'static str,
    imports: &'static [&'static str],
    messages: &'static [Shape],
    enums: &'static [Values],
    service: Option<Service>,
}

#[derive(Clone, Copy)]
struct Service {
    name: &'static str,
    method: &'static str,
    takes: &'static str,
    gives: &'static str,
    /// Whether many messages go in and out.
    streams: bool,
}

struct Shape {
    name: &'static str,
    fields: &'static [Field],
    /// The name of what `Field::Either` are alternatives of.
    oneof: &'static str,
    inner: &'static [Shape],
    enums: &'static [Values],
}

struct Values {
    name: &'static str,
    values: &'static [(&'static str, i32)],
}

#[derive(Clone, Copy)]
enum Field {
    One(i32, &'static str, Type),
    Many(i32, &'static str, Type),
    /// One of the alternatives.
    Either(i32, &'static str, Type),
    /// From texts.
    Map(i32, &'static str, Type),
}

#[derive(Clone, Copy)]
enum Type {
    Double,
    Int32,
    Bool,
    Text,
    Bytes,
    Of(&'static str),
    Enum(&'static str),
}

use Field::{Either, Many, Map, One};
use Type::{Bool, Bytes, Double, Enum, Int32, Of, Text};

const fn shape(name: &'static str, fields: &'static [Field]) -> Shape {
    either(name, "", fields)
}

const fn either(name: &'static str, oneof: &'static str, fields: &'static [Field]) -> Shape {
    Shape { name, fields, oneof, inner: &[], enums: &[] }
}

const BASE: &str = "envoy/config/core/v3/base.proto";
const CONTEXT: &str = "envoy/service/auth/v3/attribute_context.proto";
const HTTP_STATUS: &str = "envoy/type/v3/http_status.proto";
const STATUS: &str = "google/rpc/status.proto";
const STRUCT: &str = "google/protobuf/struct.proto";

static FILES: [File; 9] = [
    File {
        name: "envoy/service/auth/v3/external_auth.proto",
        package: "envoy.service.auth.v3",
        imports: &[CONTEXT, BASE, HTTP_STATUS, STATUS, STRUCT],
        messages: &[
            shape("CheckRequest", &[One(1, "attributes", Of("AttributeContext"))]),
            shape(
                "DeniedHttpResponse",
                &[
                    One(1, "status", Of(".envoy.type.v3.HttpStatus")),
                    Many(2, "headers", Of(".envoy.config.core.v3.HeaderValueOption")),
                    One(3, "body", Text),
                ],
            ),
            shape(
                "OkHttpResponse",
                &[Many(2, "headers", Of(".envoy.config.core.v3.HeaderValueOption")), Many(5, "headers_to_remove", Text)],
            ),
            either(
                "CheckResponse",
                "http_response",
                &[
                    One(1, "status", Of(".google.rpc.Status")),
                    Either(2, "denied_response", Of("DeniedHttpResponse")),
                    Either(3, "ok_response", Of("OkHttpResponse")),
                    One(4, "dynamic_metadata", Of(".google.protobuf.Struct")),
                    Either(5, "error_response", Of("DeniedHttpResponse")),
                ],
            ),
        ],
        enums: &[],
        service: Some(Service { name: "Authorization", method: "Check", takes: "CheckRequest", gives: "CheckResponse", streams: false }),
    },
    File {
        name: CONTEXT,
        package: "envoy.service.auth.v3",
        imports: &[BASE],
        messages: &[Shape {
            name: "AttributeContext",
            fields: &[One(1, "source", Of("AttributeContext.Peer")), One(4, "request", Of("AttributeContext.Request"))],
            oneof: "",
            inner: &[
                shape("Peer", &[One(4, "principal", Text)]),
                shape("Request", &[One(2, "http", Of("AttributeContext.HttpRequest"))]),
                shape(
                    "HttpRequest",
                    &[
                        One(2, "method", Text),
                        Map(3, "headers", Text),
                        One(4, "path", Text),
                        One(5, "host", Text),
                        One(13, "header_map", Of(".envoy.config.core.v3.HeaderMap")),
                    ],
                ),
            ],
            enums: &[],
        }],
        enums: &[],
        service: None,
    },
    File {
        name: BASE,
        package: "envoy.config.core.v3",
        imports: &[],
        messages: &[
            shape("HeaderValue", &[One(1, "key", Text), One(2, "value", Text), One(3, "raw_value", Bytes)]),
            shape("HeaderMap", &[Many(1, "headers", Of("HeaderValue"))]),
            Shape {
                name: "HeaderValueOption",
                fields: &[One(1, "header", Of("HeaderValue")), One(3, "append_action", Enum("HeaderValueOption.HeaderAppendAction"))],
                oneof: "",
                inner: &[],
                enums: &[Values {
                    name: "HeaderAppendAction",
                    values: &[
                        ("APPEND_IF_EXISTS_OR_ADD", 0),
                        ("ADD_IF_ABSENT", 1),
                        ("OVERWRITE_IF_EXISTS_OR_ADD", 2),
                        ("OVERWRITE_IF_EXISTS", 3),
                    ],
                }],
            },
        ],
        enums: &[],
        service: None,
    },
    File {
        name: HTTP_STATUS,
        package: "envoy.type.v3",
        imports: &[],
        messages: &[shape("HttpStatus", &[One(1, "code", Enum("StatusCode"))])],
        enums: &[Values {
            name: "StatusCode",
            values: &[("Empty", 0), ("BadRequest", 400), ("Unauthorized", 401), ("Forbidden", 403), ("InternalServerError", 500)],
        }],
        service: None,
    },
    File {
        name: STATUS,
        package: "google.rpc",
        imports: &[],
        messages: &[shape("Status", &[One(1, "code", Int32), One(2, "message", Text)])],
        enums: &[],
        service: None,
    },
    File {
        name: STRUCT,
        package: "google.protobuf",
        imports: &[],
        messages: &[
            shape("Struct", &[Map(1, "fields", Of("Value"))]),
            either(
                "Value",
                "kind",
                &[
                    Either(1, "null_value", Enum("NullValue")),
                    Either(2, "number_value", Double),
                    Either(3, "string_value", Text),
                    Either(4, "bool_value", Bool),
                    Either(5, "struct_value", Of("Struct")),
                    Either(6, "list_value", Of("ListValue")),
                ],
            ),
            shape("ListValue", &[Many(1, "values", Of("Value"))]),
        ],
        enums: &[Values { name: "NullValue", values: &[("NULL_VALUE", 0)] }],
        service: None,
    },
    File {
        name: "grpc/health/v1/health.proto",
        package: "grpc.health.v1",
        imports: &[],
        messages: &[
            shape("HealthCheckRequest", &[One(1, "service", Text)]),
            Shape {
                name: "HealthCheckResponse",
                fields: &[One(1, "status", Enum("HealthCheckResponse.ServingStatus"))],
                oneof: "",
                inner: &[],
                enums: &[Values {
                    name: "ServingStatus",
                    values: &[("UNKNOWN", 0), ("SERVING", 1), ("NOT_SERVING", 2), ("SERVICE_UNKNOWN", 3)],
                }],
            },
        ],
        enums: &[],
        service: Some(Service {
            name: "Health",
            method: "Check",
            takes: "HealthCheckRequest",
            gives: "HealthCheckResponse",
            streams: false,
        }),
    },
    reflection("grpc/reflection/v1/reflection.proto", "grpc.reflection.v1"),
    reflection("grpc/reflection/v1alpha/reflection.proto", "grpc.reflection.v1alpha"),
];

/// Both versions say the same.
const fn reflection(name: &'static str, package: &'static str) -> File {
    File {
        name,
        package,
        imports: &[],
        messages: REFLECTION,
        enums: &[],
        service: Some(Service {
            name: "ServerReflection",
            method: "ServerReflectionInfo",
            takes: "ServerReflectionRequest",
            gives: "ServerReflectionResponse",
            streams: true,
        }),
    }
}

const REFLECTION: &[Shape] = &[
    either(
        "ServerReflectionRequest",
        "message_request",
        &[
            One(1, "host", Text),
            Either(3, "file_by_filename", Text),
            Either(4, "file_containing_symbol", Text),
            Either(5, "file_containing_extension", Of("ExtensionRequest")),
            Either(6, "all_extension_numbers_of_type", Text),
            Either(7, "list_services", Text),
        ],
    ),
    shape("ExtensionRequest", &[One(1, "containing_type", Text), One(2, "extension_number", Int32)]),
    either(
        "ServerReflectionResponse",
        "message_response",
        &[
            One(1, "valid_host", Text),
            One(2, "original_request", Of("ServerReflectionRequest")),
            Either(4, "file_descriptor_response", Of("FileDescriptorResponse")),
            Either(5, "all_extension_numbers_response", Of("ExtensionNumberResponse")),
            Either(6, "list_services_response", Of("ListServiceResponse")),
            Either(7, "error_response", Of("ErrorResponse")),
        ],
    ),
    shape("FileDescriptorResponse", &[Many(1, "file_descriptor_proto", Bytes)]),
    shape("ExtensionNumberResponse", &[One(1, "base_type_name", Text), Many(2, "extension_number", Int32)]),
    shape("ListServiceResponse", &[Many(1, "service", Of("ServiceResponse"))]),
    shape("ServiceResponse", &[One(1, "name", Text)]),
    shape("ErrorResponse", &[One(1, "error_code", Int32), One(2, "error_message", Text)]),
];

// ---- in words of descriptor.proto -------------------------------------------------------------------------------------------------------

#[derive(Clone, PartialEq, prost::Message)]
struct FileDescriptor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    package: String,
    #[prost(string, repeated, tag = "3")]
    dependency: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    message_type: Vec<Descriptor>,
    #[prost(message, repeated, tag = "5")]
    enum_type: Vec<EnumDescriptor>,
    #[prost(message, repeated, tag = "6")]
    service: Vec<ServiceDescriptor>,
    #[prost(string, tag = "12")]
    syntax: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Descriptor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    field: Vec<FieldDescriptor>,
    #[prost(message, repeated, tag = "3")]
    nested_type: Vec<Descriptor>,
    #[prost(message, repeated, tag = "4")]
    enum_type: Vec<EnumDescriptor>,
    #[prost(message, optional, tag = "7")]
    options: Option<MessageOptions>,
    #[prost(message, repeated, tag = "8")]
    oneof_decl: Vec<Named>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MessageOptions {
    #[prost(bool, tag = "7")]
    map_entry: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FieldDescriptor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int32, tag = "3")]
    number: i32,
    #[prost(int32, tag = "4")]
    label: i32,
    #[prost(int32, tag = "5")]
    kind: i32,
    #[prost(string, optional, tag = "6")]
    type_name: Option<String>,
    #[prost(int32, optional, tag = "9")]
    oneof_index: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct EnumDescriptor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    value: Vec<EnumValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct EnumValue {
    #[prost(string, tag = "1")]
    name: String,
    /// Written where it is 0, too: a number that is missing is none.
    #[prost(int32, optional, tag = "2")]
    number: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ServiceDescriptor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    method: Vec<MethodDescriptor>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MethodDescriptor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    input_type: String,
    #[prost(string, tag = "3")]
    output_type: String,
    #[prost(bool, tag = "5")]
    client_streaming: bool,
    #[prost(bool, tag = "6")]
    server_streaming: bool,
}

/// `LABEL_OPTIONAL`.
const OPTIONAL: i32 = 1;
/// `LABEL_REPEATED`.
const REPEATED: i32 = 3;

/// The name of a type in full, with a dot in front.
fn full(package: &str, name: &str) -> String {
    if name.starts_with('.') { name.to_owned() } else { format!(".{package}.{name}") }
}

impl Type {
    fn described(self, package: &str) -> (i32, Option<String>) {
        match self {
            Double => (1, None),
            Int32 => (5, None),
            Bool => (8, None),
            Text => (9, None),
            Bytes => (12, None),
            Of(name) => (11, Some(full(package, name))),
            Enum(name) => (14, Some(full(package, name))),
        }
    }
}

fn field(package: &str, number: i32, name: &str, label: i32, of: Type) -> FieldDescriptor {
    let (kind, type_name) = of.described(package);
    FieldDescriptor { name: name.to_owned(), number, label, kind, type_name, oneof_index: None }
}

impl Values {
    fn described(&self) -> EnumDescriptor {
        let value = |(name, number): &(&str, i32)| EnumValue { name: (*name).to_owned(), number: Some(*number) };
        EnumDescriptor { name: self.name.to_owned(), value: self.values.iter().map(value).collect() }
    }
}

/// `headers` has entries of the type `HeadersEntry`.
fn entry(name: &str) -> String {
    let mut letters = name.chars();
    let first: String = letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter().collect();
    format!("{first}{}Entry", letters.as_str())
}

impl Shape {
    /// `around` is what it stands in, with a dot in front: the package, or a message.
    fn described(&self, package: &str, around: &str) -> Descriptor {
        let own = format!("{around}.{}", self.name);
        let mut made = Descriptor {
            name: self.name.to_owned(),
            nested_type: self.inner.iter().map(|inner| inner.described(package, &own)).collect(),
            enum_type: self.enums.iter().map(Values::described).collect(),
            ..Descriptor::default()
        };
        if !self.oneof.is_empty() {
            made.oneof_decl.push(Named { name: self.oneof.to_owned() });
        }
        for one in self.fields {
            let described = match *one {
                One(number, name, of) => field(package, number, name, OPTIONAL, of),
                Many(number, name, of) => field(package, number, name, REPEATED, of),
                Either(number, name, of) => FieldDescriptor { oneof_index: Some(0), ..field(package, number, name, OPTIONAL, of) },
                Map(number, name, of) => {
                    let whole = format!("{own}.{}", entry(name));
                    made.nested_type.push(Descriptor {
                        name: entry(name),
                        field: vec![field(package, 1, "key", OPTIONAL, Text), field(package, 2, "value", OPTIONAL, of)],
                        options: Some(MessageOptions { map_entry: true }),
                        ..Descriptor::default()
                    });
                    FieldDescriptor { type_name: Some(whole), ..field(package, number, name, REPEATED, Of("")) }
                }
            };
            made.field.push(described);
        }
        made
    }

    fn symbols(&self, around: &str, into: &mut Vec<String>) {
        let own = format!("{around}.{}", self.name);
        self.inner.iter().for_each(|inner| inner.symbols(&own, into));
        into.extend(self.enums.iter().map(|one| format!("{own}.{}", one.name)));
        into.push(own);
    }
}

impl File {
    fn served(&self) -> Served {
        let mut symbols = Vec::new();
        self.messages.iter().for_each(|message| message.symbols(self.package, &mut symbols));
        symbols.extend(self.enums.iter().map(|one| format!("{}.{}", self.package, one.name)));
        let service = self.service.map(|service| {
            let whole = format!("{}.{}", self.package, service.name);
            symbols.extend([format!("{whole}.{}", service.method), whole]);
            let method = MethodDescriptor {
                name: service.method.to_owned(),
                input_type: full(self.package, service.takes),
                output_type: full(self.package, service.gives),
                client_streaming: service.streams,
                server_streaming: service.streams,
            };
            ServiceDescriptor { name: service.name.to_owned(), method: vec![method] }
        });
        let made = FileDescriptor {
            name: self.name.to_owned(),
            package: self.package.to_owned(),
            dependency: self.imports.iter().map(|name| (*name).to_owned()).collect(),
            message_type: self.messages.iter().map(|message| message.described(self.package, &format!(".{}", self.package))).collect(),
            enum_type: self.enums.iter().map(Values::described).collect(),
            service: service.into_iter().collect(),
            syntax: "proto3".to_owned(),
        };
        Served { name: self.name, imports: self.imports, symbols, bytes: made.encode_to_vec() }
    }
}
