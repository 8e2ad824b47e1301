// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: the latchbox authors
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

// A cost curve as SVG: logarithmic upwards, one step to the right for each workload.
namespace bench {

struct Curve {
    std::string name;
    std::vector<std::optional<double>> values;  // one per step; none where it was not measured
};

struct Plot {
    std::string title;
    std::string unit;                // of the values
    std::string axis;                // what changes from step to step
    std::vector<std::string> steps;  // at least two
    std::vector<Curve> curves;       // the first is drawn thicker

    void write(std::ostream& out) const;

private:
    static constexpr double left = 70, right = 600, top = 50, bottom = 370;
    static constexpr double width = 860, height = 430;

    // What the curves reach, a little widened.
    struct Range {
        double low = 1e300;
        double high = 0;
    };
    [[nodiscard]] Range range() const {
        Range range;
        for (const Curve& curve : curves) {
            for (const auto& value : curve.values) {
                if (!value) { continue; }
                range.low = std::min(range.low, *value);
                range.high = std::max(range.high, *value);
            }
        }
        return {range.low / 1.3, range.high * 1.3};
    }
    [[nodiscard]] double x(std::size_t step) const {
        return left +
               (right - left) * static_cast<double>(step) / static_cast<double>(steps.size() - 1);
    }
    [[nodiscard]] static double y(double value, const Range& range) {
        return bottom -
               (bottom - top) * std::log(value / range.low) / std::log(range.high / range.low);
    }
    static std::string text(double at_x, double at_y, const char* anchor, const std::string& what) {
        return "<text x=\"" + rounded(at_x) + "\" y=\"" + rounded(at_y) + "\" text-anchor=\"" +
               anchor + "\">" + what + "</text>\n";
    }
    static std::string line(double x1, double y1, double x2, double y2, const char* colour,
                            int thick) {
        return "<line x1=\"" + rounded(x1) + "\" y1=\"" + rounded(y1) + "\" x2=\"" + rounded(x2) +
               "\" y2=\"" + rounded(y2) + "\" stroke=\"" + colour + "\" stroke-width=\"" +
               std::to_string(thick) + "\"/>\n";
    }
    static std::string rounded(double value) {
        char text[32];
        std::snprintf(text, sizeof text, "%.1f", value);
        return text;
    }
    static std::string short_number(double value) {
        char text[32];
        std::snprintf(text, sizeof text, "%g", value);
        return text;
    }
};

inline void Plot::write(std::ostream& out) const {
    // Told apart by the colour-blind, too.
    constexpr const char* colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                       "#e69f00", "#56b4e9", "#000000", "#999999"};
    const Range reach = range();
    out << "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " << width << ' ' << height
        << "\" font-family=\"sans-serif\" font-size=\"13\">\n"
        << "<!-- SPDX-License-Identifier: MIT -->\n"
        << "<!-- SPDX-FileCopyrightText: the latchbox authors -->\n"
        << "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        << text(left, 25, "start", title + " (" + unit + ")")
        << text((left + right) / 2, height - 15, "middle", axis);
    for (double decade = std::pow(10, std::floor(std::log10(reach.low))); decade < reach.high;
         decade *= 10) {
        for (const int factor : {1, 2, 5}) {
            const double value = decade * factor;
            if (value < reach.low || value > reach.high) { continue; }
            const double at = y(value, reach);
            out << line(left, at, right, at, "#dddddd", 1)
                << text(left - 8, at + 4, "end", short_number(value));
        }
    }
    for (std::size_t i = 0; i < steps.size(); ++i) {
        out << text(x(i), bottom + 20, "middle", steps[i]);
    }
    out << line(left, bottom, right, bottom, "#000000", 1);
    for (std::size_t c = 0; c < curves.size(); ++c) {
        const char* const colour = colours[c % std::size(colours)];
        const int thick = c == 0 ? 4 : 2;
        std::string points;
        for (std::size_t i = 0; i < steps.size(); ++i) {
            if (!curves[c].values[i]) { continue; }
            points += rounded(x(i)) + ',' + rounded(y(*curves[c].values[i], reach)) + ' ';
        }
        out << "<polyline points=\"" << points << "\" fill=\"none\" stroke=\"" << colour
            << "\" stroke-width=\"" << thick << "\"/>\n";
        const double at = top + 22 * static_cast<double>(c);
        out << line(right + 20, at, right + 45, at, colour, thick)
            << text(right + 52, at + 4, "start", curves[c].name);
    }
    out << "</svg>\n";
}

}  // namespace bench
