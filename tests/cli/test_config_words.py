import pytest

from jde_lightning.cli.config_words import with_config_files
from jde_lightning.errors import InputError


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model: {scale: n\n  a: [\n", "no YAML (line 2, column 4: expected"),
        ("- a\n- b\n", "found \"['a', 'b']\", expected keys such as trainer"),
        ("quickstart", "found 'quickstart', expected keys"),
        ("", "found nothing, expected keys"),
        (b"\xff\xfe\x00", "no YAML ("),
    ],
)
def test_a_file_without_configuration_is_named(tmp_path, text, told):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as error:
        with_config_files(["fit", f"--config={path}"])
    assert str(error.value).startswith(f"{path}: {told}")


def test_settings_themselves_and_files_with_keys_go_on(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: {scale: n}\n")
    words = ["fit", "--config", str(path), "-c", "model: {scale: s}", "--data.root", "x"]
    assert with_config_files(words) == words
