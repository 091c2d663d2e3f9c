"""What this machine's processors multiply fast."""

import torch

# As torch names them: x86 (AVX-512, AMX, AVX10) and Arm.
_INT8 = ("avx512_vnni", "amx_int8")
_BFLOAT16 = ("avx512_bf16", "amx_bf16", "avx10_2", "bf16", "sve_bf16")


def has_fast_bfloat16() -> bool | None:
    """Tell whether the processors multiply bfloat16 themselves; None where torch cannot tell."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is None:
        return None
    found: dict[str, object] = capabilities()
    return any(found.get(name) for name in _BFLOAT16) if found else None


def multiplies_bfloat16(device: torch.device) -> bool:
    """Tell whether reading in bfloat16 is faster than in float32 on a device."""
    if device.type == "cpu":
        return has_fast_bfloat16() is True
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def multiplies_int8(device: torch.device) -> bool:
    """Tell whether reading in whole numbers of eight bits is much faster than in float32."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return device.type == "cpu" and any(capabilities.get(name) for name in _INT8)
