"""Runs oidc-provider-mock, whose tokens do not say which key they are signed with, so that they do, as those of other providers."""

from oidc_provider_mock import __main__, _app

plain = _app.OpenIDCode.get_jwt_config


def named(self, grant, client=None):
    return plain(self, grant, client) | {"kid": _app.storage.jwk.thumbprint()}


_app.OpenIDCode.get_jwt_config = named
__main__.run()
