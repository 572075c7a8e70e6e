package chartline.census;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Where a person is now, from all records of the chart, whatever their order: docs/TIMELINE.md, "From versions to what
 * is shown", as far as it concerns encounters and places.
 */
public final class Places {
    /** Never the order of arrival: class, version time, message time, a cancel after what it cancels, event. */
    static final Comparator<Item> ORDER = Comparator.comparingInt(Item::statusClass).thenComparingLong(Item::order)
        .thenComparingLong(Item::message).thenComparing(item -> !item.act().isEmpty()).thenComparing(Item::origin)
        .thenComparing(Item::event).thenComparingLong(Item::ordinal).thenComparing(Item::id);
    private static final Comparator<Item> IN_TIME = Comparator.comparingLong(Item::effective).thenComparing(ORDER);

    private Places() {
    }

    /** Location token to since when, for each place where the person is now. */
    public static Map<String, String> now(Collection<Item> items) {
        Set<String> replaced = new HashSet<>();
        items.forEach(item -> replaced.addAll(item.supersedes()));
        List<Item> encounters = new ArrayList<>();
        List<Item> locations = new ArrayList<>();
        for (Item item : items) {
            if (!item.kind().equals("revision") && !replaced.contains(item.event())) {
                (item.kind().equals("encounter") ? encounters : locations).add(item);
            }
        }
        Map<String, List<Item>> standing = standing(locations);
        Map<String, String> now = new HashMap<>();
        for (List<Item> versions : facts(encounters)) {
            String status = status(versions);
            Item current = newest(versions);
            if (withdrawn(current) || List.of("finished", "cancelled", "planned", "entered-in-error").contains(status)) {
                continue;
            }
            List<Item> places = current.encounter().isEmpty() ? List.of() : standing.getOrDefault(current.encounter(), List.of());
            Item place = last(places);
            if (place == null || place.location().isEmpty()) {
                continue;
            }
            for (int i = places.size() - 1; i >= 0 && places.get(i).location().equals(place.location()); i--) {
                place = places.get(i); // another bed of the same ward
            }
            now.merge(place.location(), place.since(), (a, b) -> Item.moment(a, 0) <= Item.moment(b, 0) ? a : b);
        }
        return now;
    }

    /** Versions that share a fact token are one fact; each fact's versions in their order. */
    private static Collection<List<Item>> facts(List<Item> items) {
        Map<String, List<Item>> byFact = new HashMap<>();
        List<List<Item>> all = new ArrayList<>();
        for (Item item : items) {
            List<Item> mine = null;
            for (String fact : item.facts()) {
                List<Item> other = byFact.get(fact);
                if (mine == null || other == null || other == mine) {
                    mine = mine == null ? other : mine;
                    continue;
                }
                for (Item member : other) { // the item joins two that were apart
                    for (String name : member.facts()) {
                        byFact.put(name, mine);
                    }
                    mine.add(member);
                }
                other.clear();
            }
            if (mine == null) {
                mine = new ArrayList<>();
                all.add(mine);
            }
            mine.add(item);
            for (String fact : item.facts()) {
                byFact.put(fact, mine);
            }
        }
        all.removeIf(List::isEmpty);
        all.forEach(list -> list.sort(ORDER));
        return all;
    }

    private static Item last(List<Item> items) {
        return items.isEmpty() ? null : items.get(items.size() - 1);
    }

    /** The newest that states the fact; one that only fills in or tells the status if there is no other. */
    private static Item newest(List<Item> versions) {
        Item other = null;
        for (int i = versions.size() - 1; i >= 0; i--) {
            Item version = versions.get(i);
            if (!version.mode().equals("status") && !version.mode().equals("fill")) {
                return version;
            }
            other = other == null ? version : other;
        }
        return other;
    }

    private static boolean withdrawn(Item version) {
        return version.act().equals("withdraw") || version.status().equals("entered-in-error");
    }

    /** The folded status: absent or unknown leaves what was said before. */
    private static String status(List<Item> versions) {
        String said = "";
        String filled = "";
        for (Item version : versions) {
            if (version.mode().equals("replace") && version.act().isEmpty()) {
                said = "";
            }
            if (version.status().isEmpty() || version.status().equals("unknown")) {
                continue;
            }
            if (version.mode().equals("fill")) {
                filled = version.status();
            } else {
                said = version.status();
            }
        }
        return said.isEmpty() ? filled : said;
    }

    /** Encounter token to its places that stand, in the order of time. */
    private static Map<String, List<Item>> standing(List<Item> locations) {
        List<Item> places = new ArrayList<>();
        for (List<Item> versions : facts(locations)) {
            Item current = newest(versions);
            if (!withdrawn(current) && !current.act().startsWith("cancel-")) {
                places.add(current);
            }
        }
        locations.stream().filter(item -> item.act().equals("cancel-transfer") || item.act().equals("cancel-admission"))
            .sorted(ORDER).forEach(cancel -> takeBack(places, cancel));
        Map<String, List<Item>> standing = new HashMap<>();
        places.sort(IN_TIME);
        for (Item place : places) {
            List<Item> list = standing.computeIfAbsent(place.encounter(), key -> new ArrayList<>());
            Item before = last(list);
            boolean announced = !place.trigger().startsWith("ADT^") || place.triggered("A01", "A04", "A05", "A14", "A02", "A09", "A10");
            if (announced || before == null || !before.location().equals(place.location())) {
                list.add(place); // else an update that says again where the patient is
            }
        }
        return standing;
    }

    /** A11 takes the admission back; A12 the transfer of its effective time, else the last one before it that stands. */
    private static void takeBack(List<Item> places, Item cancel) {
        if (cancel.encounter().isEmpty()) {
            return;
        }
        if (cancel.act().equals("cancel-admission")) {
            places.removeIf(place -> place.triggered("A01", "A04", "A05", "A14") && place.encounter().equals(cancel.encounter())
                && place.effective() <= cancel.order());
            return;
        }
        Item found = null;
        for (Item place : places) {
            if (!place.triggered("A02") || !place.encounter().equals(cancel.encounter())) {
                continue;
            }
            if (place.effective() == cancel.effective()) {
                found = place;
                break;
            }
            if (place.effective() <= cancel.order() && (found == null || IN_TIME.compare(found, place) < 0)) {
                found = place;
            }
        }
        places.remove(found);
    }
}
