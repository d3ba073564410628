package chromium

// Prefer gives the page a user who prefers dark or light pages.
func (b *Tab) Prefer(scheme string) {
	b.t.Helper()
	b.Do("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Cut returns the elements that are not seen whole, or only by scrolling sideways: those that reach over an edge of the
// window, and those whose content is wider than they are.
func (b *Tab) Cut() (cut []string) {
	b.t.Helper()
	b.Eval(`[document.documentElement, ...document.body.querySelectorAll("*")].filter(e => {
		const box = e.getBoundingClientRect();
		return e.getClientRects().length && !e.closest("svg") &&
			(box.left < -0.5 || box.right > innerWidth + 0.5 || e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1);
	}).map(e => e.outerHTML.slice(0, 200))`, &cut)
	return cut
}

// Faint returns the elements whose text has a contrast of less than 4.5 to 1 to what is behind it, which is hard to read
// for many people. It looks at neither what is disabled nor opacity.
func (b *Tab) Faint() (faint []string) {
	b.t.Helper()
	b.Eval(`(() => {
		const parts = color => color.match(/[\d.]+/g).map(Number);
		const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
		const luminance = color => parts(color).slice(0, 3).reduce((sum, v, i) => sum + linear(v / 255) * [0.2126, 0.7152, 0.0722][i], 0);
		const behind = e => {
			if (!e) return "rgb(255, 255, 255)";
			const color = getComputedStyle(e).backgroundColor;
			return parts(color)[3] === 0 ? behind(e.parentElement) : color;
		};
		const contrast = e => {
			const [dark, light] = [getComputedStyle(e).color, behind(e)].map(luminance).sort((a, b) => a - b);
			return (light + 0.05) / (dark + 0.05);
		};
		return [...document.body.querySelectorAll("*")].filter(e => e.getClientRects().length && !e.matches(":disabled, option") &&
			[...e.childNodes].some(n => n.nodeType == Node.TEXT_NODE && n.data.trim()) && contrast(e) < 4.5).map(e => e.outerHTML.slice(0, 200));
	})()`, &faint)
	return faint
}
