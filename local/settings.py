"""What the local cloud is seeded with: one app, and settings for every agent that point at the sandbox."""

from collections.abc import Collection
from typing import Any

APP_ID = "demo"

EITRI_SECRET = "whsec_ZWl0cmktZXhhbXBsZS1zaWduaW5nLWtleS0zMmJ5dGU="  # noqa: S105 - the contract's example


OPTIONAL = {"GoogleDataManager": "google_data_manager", "Webhook": "webhook"}
"""Agents that the template does not enable by itself: their names there, and their own."""


def optional_agents(sandbox_url: str) -> dict[str, dict[str, Any]]:
    """Settings of the agents that the template does not enable by itself, as `agents` has those of the others."""
    data_manager = f"{sandbox_url}/google_data_manager"
    return {
        "google_data_manager": {
            "base_url": data_manager,
            "property_id": "412345678",
            "measurement_id": "G-DEF7654321",
            "firebase_app_id_ios": "1:123456789012:ios:5a2e1b0c4d7f8a93",
            "firebase_app_id_android": "1:123456789012:android:1c9d3e5f7a2b4c68",
            "workload_identity": {
                "provider": "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/aws"
                "/providers/session-relay",
                "service_account": "session-relay@example-shop.iam.gserviceaccount.com",
                "sts_url": data_manager,
                "iam_url": data_manager,
            },
        },
        "webhook": {
            "url": f"{sandbox_url}/webhook/hooks/events",
            "signing_secrets": [EITRI_SECRET],
            "purpose": "analytics",
        },
    }


def agents(sandbox_url: str) -> dict[str, dict[str, Any]]:
    """Each agent's settings, as they stand in SSM and as the sandbox checks them; all values are examples."""
    return {
        "appsflyer": {
            "base_url": f"{sandbox_url}/appsflyer",
            "s2s_key": "S2S-KEY-PLACEHOLDER",
            "android_app_id": "com.example.shop",
            "ios_app_id": "id1234567890",
        },
        "facebook": {
            "base_url": f"{sandbox_url}/facebook",
            "access_token": "TOKEN-PLACEHOLDER",
            "dataset_id": "1234567890123456",
            "api_version": "v26.0",
        },
        "google": {
            "base_url": f"{sandbox_url}/google",
            "api_secret": "SECRET",
            "measurement_id": "G-ABC1234567",
            "firebase_app_id_ios": "1:123456789012:ios:3f2a9c0b1d4e5f60",
            "firebase_app_id_android": "1:123456789012:android:7d1e5b2c9a804f36",
        },
        "eitri_push": {
            "url": f"{sandbox_url}/eitri_push/hooks/session",
            "signing_secrets": [EITRI_SECRET],
            "store": {"account": "examplestore", "environment": "production"},
        },
        "emarsys": {
            "base_url": f"{sandbox_url}/emarsys",
            "applications": {
                "android": {"code": "4F7AC-90B1D", "password": "example-only"},
                "ios": {"code": "29820-CA1E9", "password": "example-only"},
            },
            "contact_field_id": 9127,
            "contact_key": "an example key of 32 characters.",
        },
        "dashx": {
            "base_url": sandbox_url,
            "public_key": "pub_example",
            "private_key": "prv_example_of_at_least_32_bytes_length",
            "target_environment": "staging",
        },
    }


def enabled_agents(sandbox_url: str, enabled: Collection[str]) -> dict[str, dict[str, Any]]:
    """Settings of the usual agents, and of those among the optional ones that are enabled by their template's names."""
    named = {OPTIONAL[name] for name in enabled if name in OPTIONAL}
    optional = {name: known for name, known in optional_agents(sandbox_url).items() if name in named}
    return agents(sandbox_url) | optional
