//! Gateways ask here: each in its own dialect, and one core decides for all of them.
//!
//! ```text
//! a dialect reads ──▶ Asked (method, host, path; the client's headers; the gateway's) ──▶ who asks ──▶ route ──▶ check ──▶ Answer ──▶ the dialect tells it
//! ```
//!
//! | where | whose dialect | the original request stands in |
//! | --- | --- | --- |
//! | `/envoy.service.auth.v3.Authorization/Check` | Envoy's `ext_authz` over gRPC | the message |
//! | `/gateway/envoy` + path | Envoy's `ext_authz` over HTTP | the request itself |
//! | `/gateway/traefik`, `/gateway/caddy` | ForwardAuth, `forward_auth` | `X-Forwarded-Method`, `-Host` and `-Uri` |
//! | `/gateway/nginx`, `/gateway/haproxy` | `auth_request`, a Lua action | `X-Original-Method`, `-Host` and `-URI` |
//! | `/gateway/kubernetes/NAME` | the authorization webhook | the SubjectAccessReview |
//!
//! What can be read in two ways is refused and never repaired, and what goes wrong inside is an error in each dialect and never an allow.
//! Lost: a room for gRPC beside this one, which would need the core on both sides of a wall.

mod answer;
mod asked;
mod decide;
mod envoy;
mod forwarded;
mod grpc;
mod kubernetes;
mod page;
mod who;

use axum::body::Body;
use axum::response::IntoResponse as _;
use http::{Request, Response, StatusCode};

use super::Server;
use super::conn::Door;
use super::problem::Problem;

/// What the paths of gateways begin with.
const PREFIX: &str = "/gateway/";

/// A dialect, and what its path says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    /// Envoy over HTTP.
    Envoy,
    /// Traefik and Caddy.
    Forwarded,
    /// nginx and HAProxy.
    Original,
    /// Kubernetes.
    Kubernetes,
    /// Envoy over gRPC.
    EnvoyGrpc,
    /// gRPC's own health.
    GrpcHealth,
    /// gRPC's reflection.
    GrpcReflection,
    /// A method of these services that there is not.
    GrpcOther,
}

impl Hook {
    /// The hook that a path is for.
    pub(super) fn of(path: &str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix(PREFIX) {
            return match rest {
                "traefik" | "caddy" => Some(Self::Forwarded),
                "nginx" | "haproxy" => Some(Self::Original),
                _ if rest.starts_with("envoy/") => Some(Self::Envoy),
                _ if rest.starts_with("kubernetes/") => Some(Self::Kubernetes),
                _ => None,
            };
        }
        match path {
            grpc::CHECK => Some(Self::EnvoyGrpc),
            grpc::HEALTH => Some(Self::GrpcHealth),
            _ if grpc::REFLECTION.contains(&path) => Some(Self::GrpcReflection),
            _ if path.starts_with(grpc::AUTHORIZATION) || path.starts_with(grpc::HEALTHS) => Some(Self::GrpcOther),
            _ => None,
        }
    }

    /// Its path, for metrics and logs.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Envoy => "/gateway/envoy/{path}",
            Self::Forwarded => "/gateway/{traefik,caddy}",
            Self::Original => "/gateway/{nginx,haproxy}",
            Self::Kubernetes => "/gateway/kubernetes/{cluster}",
            Self::EnvoyGrpc => grpc::CHECK,
            Self::GrpcHealth => grpc::HEALTH,
            Self::GrpcReflection => "/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            Self::GrpcOther => "/{service}/{method}",
        }
    }

    /// What is refused before the dialect has read anything, as this gateway takes it.
    pub(super) fn refused(self, problem: Problem) -> Problem {
        match self {
            Self::Original if problem.status().is_client_error() => problem.as_status(StatusCode::FORBIDDEN),
            Self::Original
            | Self::Envoy
            | Self::Forwarded
            | Self::Kubernetes
            | Self::EnvoyGrpc
            | Self::GrpcHealth
            | Self::GrpcReflection
            | Self::GrpcOther => problem,
        }
    }

    /// Whether the request's own host is the one that a client asked for, and not Elevon's.
    pub(super) fn brings_the_clients_host(self) -> bool {
        self == Self::Envoy
    }
}

/// Answers.
pub(super) async fn answer<B>(server: &Server, door: &Door, hook: Hook, request: Request<B>) -> Response<Body>
where
    B: hyper::body::Body<Data = bytes::Bytes, Error = hyper::Error>,
{
    let version = request.version();
    let (parts, body) = request.into_parts();
    match hook {
        Hook::Envoy => envoy::answer(server, door, &parts).await,
        Hook::Forwarded => forwarded::forwarded(server, door, &parts).await,
        Hook::Original => forwarded::original(server, door, &parts).await,
        Hook::Kubernetes => kubernetes::answer(server, door, &parts, body).await.unwrap_or_else(|problem| problem.into_response()),
        Hook::EnvoyGrpc | Hook::GrpcHealth | Hook::GrpcReflection | Hook::GrpcOther => {
            grpc::answer(server, door, hook, version, &parts.headers, body).await
        }
    }
}

/// Answers [`Hook::GrpcReflection`], while it is still being asked.
pub(super) fn reflect(door: &Door, request: Request<Option<hyper::body::Incoming>>) -> Response<Body> {
    grpc::reflect(door, request)
}

#[cfg(test)]
mod tests {
    use super::Hook;

    #[test]
    fn every_path_is_of_one_dialect() {
        let rows = [
            ("/gateway/nginx", Some(Hook::Original)),
            ("/gateway/haproxy", Some(Hook::Original)),
            ("/gateway/caddy", Some(Hook::Forwarded)),
            ("/gateway/traefik", Some(Hook::Forwarded)),
            ("/gateway/envoy/", Some(Hook::Envoy)),
            ("/gateway/envoy/a/b", Some(Hook::Envoy)),
            ("/gateway/kubernetes/main", Some(Hook::Kubernetes)),
            ("/envoy.service.auth.v3.Authorization/Check", Some(Hook::EnvoyGrpc)),
            ("/envoy.service.auth.v3.Authorization/Other", Some(Hook::GrpcOther)),
            ("/grpc.health.v1.Health/Check", Some(Hook::GrpcHealth)),
            ("/grpc.health.v1.Health/Watch", Some(Hook::GrpcOther)),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Some(Hook::GrpcReflection)),
            ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Some(Hook::GrpcReflection)),
            ("/grpc.reflection.v1.ServerReflection/Other", None),
            ("/gateway/envoy", None),
            ("/gateway/nginx/", None),
            ("/gateway", None),
            ("/gatewaynginx", None),
            ("/v1/me", None),
        ];
        for (path, hook) in rows {
            assert_eq!(Hook::of(path), hook, "{path}");
        }
    }
}
