"""What is said of a line in Indonesian and English: a text for every verdict, and for every rule that refuses."""

from typing import NamedTuple


class Text(NamedTuple):
    """The same in both languages."""

    id: str
    en: str


VERDICTS = {
    "accepted": Text("diterima", "accepted"),
    "unchanged": Text("tidak berubah: sudah ada dalam perintah ini", "unchanged: this order holds it already"),
    "duplicate": Text("ganda: sudah tertulis dalam daftar ini", "duplicate: it stands in the list already"),
    "covered": Text("tercakup oleh nama di atasnya; tetap dicatat", "covered by a name above it; kept all the same"),
    "refused": Text("ditolak", "refused"),
}

HELD_ABOVE = Text("perintah yang berlaku memuat nama di atasnya", "an order in force holds a name above it")

RULES = {
    "address": Text("alamat IP bukan nama domain", "an IP address is no domain name"),
    "category_unknown": Text("kategori tidak dikenal", "no such category"),
    "character": Text(
        "hanya huruf, angka, tanda hubung dan garis bawah", "only letters, digits, hyphens and underscores"
    ),
    "conditions_or_sop": Text("perlu syarat normalisasi, atau SOP", "it needs conditions, or a SOP"),
    "control_character": Text("berisi karakter kendali", "it holds a control character"),
    "csv_columns": Text("jumlah kolom berbeda dari baris judul", "not as many columns as the header"),
    "csv_header": Text("baris judul tidak dikenal", "the header is not known"),
    "csv_quotes": Text(
        "tanda kutip tidak berpasangan dalam satu baris", "quotes do not close on the line where they open"
    ),
    "directive": Text(
        "hanya $ORIGIN dan $TTL yang dibaca; tidak ada yang disertakan atau dibangkitkan",
        "only $ORIGIN and $TTL are read; nothing is included or generated",
    ),
    "due_in_the_past": Text("tanggal syarat sudah lewat", "the date of a condition has passed"),
    "empty": Text("tidak ada nama", "there is no name"),
    "empty_label": Text("ada label kosong", "a label is empty"),
    "ends_before_it_begins": Text("perintah berakhir sebelum mulai", "the order would end before it begins"),
    "full_width_dot": Text("pemisah label harus titik ASCII", "only the ASCII dot separates labels"),
    "host_in_url": Text("ini alamat halaman, bukan nama domain", "this is an address of a page, not a name"),
    "hosts_address": Text(
        "alamatnya menuju suatu tempat; blokir memakai 0.0.0.0, 127.0.0.1, :: atau ::1",
        "its address leads somewhere; a block has 0.0.0.0, 127.0.0.1, :: or ::1",
    ),
    "hosts_line": Text(
        "bukan baris berkas hosts: alamat, lalu nama", "no line of a hosts file: an address, then names"
    ),
    "idna": Text("bukan nama internasional yang sah (UTS 46)", "not a valid international name (UTS 46)"),
    "invisible_character": Text("berisi karakter yang tidak terlihat", "it holds a character that does not show"),
    "label_length": Text("label lebih dari 63 oktet", "a label of more than 63 octets"),
    "line_length": Text("baris terlalu panjang", "the line is too long"),
    "match_unknown": Text("match harus exact atau subtree", "the match is exact or subtree"),
    "mixed_script": Text("satu label mencampur aksara", "one label mixes scripts"),
    "name_length": Text("nama lebih dari 255 oktet", "the name is over 255 octets"),
    "no_passthru": Text(
        "baris ini memblokir, sedangkan perintahnya pengecualian", "it blocks, and the order is an exception"
    ),
    "numeric_tld": Text("label terakhir berupa angka", "its last label is a number"),
    "order_data": Text("data perintah pada baris ini tidak sah", "what the line says of its order is not valid"),
    "order_differs": Text(
        "baris lain menyebut data berbeda untuk nomor perintah ini", "another line says otherwise of this order"
    ),
    "outside_zone": Text("nama di luar zona berkas ini", "a name outside the zone of this file"),
    "own_zone": Text("milik layanan ini sendiri", "it belongs to this service itself"),
    "owner_length": Text("nama terlalu panjang di bawah zona", "the name is too long below the zone"),
    "parenthesis": Text("rekaman lebih dari satu baris", "a record that is more than one line"),
    "passthru": Text(
        "baris ini meloloskan nama: itu pengecualian dan memerlukan perintah sendiri",
        "it lets a name pass: that is an exception, which needs an order of its own",
    ),
    "private_suffix": Text(
        "akhiran publik swasta; perlu pengesahan khusus", "a private public suffix; needs an override"
    ),
    "protected_service": Text(
        "layanan penting yang dilindungi; perlu pengesahan khusus", "a protected service; needs an override"
    ),
    "protected_suffix": Text(
        "akhiran bersama yang dilindungi; perlu pengesahan khusus", "a protected shared suffix; needs an override"
    ),
    "public_suffix": Text("akhiran publik tidak boleh diblokir", "a public suffix is never blocked"),
    "punycode": Text("label xn-- bukan punycode yang sah", "an xn-- label that is not punycode"),
    "review_date_past": Text("tanggal peninjauan sudah lewat", "the review date has passed"),
    "root": Text("akar DNS tidak boleh diblokir", "the root is never blocked"),
    "rpz_trigger": Text("pemicu selain nama tidak diterima", "triggers other than names are not taken"),
    "sop_unknown": Text("SOP tidak dikenal", "no such SOP"),
    "space": Text("berisi spasi", "it holds a space"),
    "tcp_only": Text("hanya meminta TCP, tidak memblokir", "it asks for TCP and blocks nothing"),
    "tld": Text("domain tingkat teratas tidak boleh diblokir", "a top-level domain is never blocked"),
    "tld_unknown": Text("domain tingkat teratas ini tidak ada", "this top-level domain does not exist"),
    "utf8": Text("baris bukan UTF-8", "the line is not UTF-8"),
    "wildcard": Text(
        "wildcard bukan nama; tulis namanya dengan match subtree", "a wildcard is no name; give it with match subtree"
    ),
    "wildcard_alone": Text(
        "ada *. tanpa namanya sendiri; tambahkan nama itu, atau cabut barisnya",
        "`*.` without its name: an order cannot say that; add the name, or take the line out",
    ),
    "zone_action": Text("tujuan CNAME bukan tindakan RPZ yang dikenal", "its target is no action of a policy zone"),
    "zone_record": Text("bukan rekaman zona kebijakan", "no record of a policy zone"),
}
"""By rule."""
