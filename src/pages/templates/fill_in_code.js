const field = document.getElementById("code"), code = location.hash.slice(1);
if (field && /^[0-9]{6,16}$/.test(code)) {
field.value = code;
history.replaceState(null, "", location.pathname + location.search);
}
