%% The chart of `make bench': operations a second of each system as bars, for put and get of 16
%% bytes with 100 workers a node. The scale is logarithmic, since reads and writes are far apart.
-module(ram_bench_chart).

-export([write/2]).

-import(ram_bench_report, [text/4, line/2]).

-define(TOP, 40).
-define(BOTTOM, 260).
-define(LEFT, 64).
-define(RIGHT, 624).
-define(BAR, 44).
-define(STEP, 54).
%% Where each system's name begins, as wide as the one before it.
-define(LEGEND, [{ram_disk, 0}, {ram_quorum, 78}, {ram_memory, 174}, {mnesia_transaction, 272},
                 {mnesia_dirty, 402}, {ets, 500}]).

-spec write(file:filename(), [ram_bench:measured()]) -> ok.
write(File, Medians) ->
    Bars = [{Operation, System, Rate}
            || Operation <- [put, get],
               #{operation := Of, workers := 100, value := 16, system := System, rate := Rate}
                   <- Medians, Of =:= Operation],
    Rates = [Rate || {_, _, Rate} <- Bars],
    Decades = {floor(math:log10(lists:min(Rates))), ceil(math:log10(lists:max(Rates)))},
    Placed = lists:zip(lists:seq(0, length(Bars) - 1), Bars),
    ok = filelib:ensure_dir(File),
    ok = file:write_file(File, ram_bench_report:svg([scale(Decades),
                                                     [bar(Bar, Decades) || Bar <- Placed],
                                                     legend()])).

height(Rate, {Low, High}) ->
    (math:log10(Rate) - Low) / max(1, High - Low) * (?BOTTOM - ?TOP).

scale({Low, High} = Decades) ->
    [begin
         Y = ?BOTTOM - height(math:pow(10, Decade), Decades),
         [line({?LEFT, Y}, {?RIGHT, Y}),
          text({?LEFT, Y}, {-6, 4}, "end", integer_to_list(round(math:pow(10, Decade))))]
     end || Decade <- lists:seq(Low, High)].

bar({I, {Operation, System, Rate}}, Decades) ->
    {X, High} = {?LEFT + 8 + I * ?STEP, height(Rate, Decades)},
    Middle = X + ?BAR / 2,
    [io_lib:format("<rect x='~b' y='~.1f' width='~b' height='~.1f' fill='~s'/>\n",
                   [X, float(?BOTTOM - High), ?BAR, float(High), colour(System)]),
     text({Middle, ?BOTTOM - High}, {0, -4}, "middle", integer_to_list(round(Rate))),
     text({Middle, ?BOTTOM}, {0, 16}, "middle", atom_to_list(Operation))].

legend() ->
    [text({?LEFT, ?TOP}, {0, -20}, "start", "operations a second, 16 B, 100 workers a node"),
     [[io_lib:format("<rect x='~b' y='290' width='10' height='10' fill='~s'/>\n",
                     [?LEFT + X, colour(System)]),
       text({?LEFT + X, 299}, {14, 0}, "start", string:replace(atom_to_list(System), "_", " "))]
      || {System, X} <- ?LEGEND]].

colour(ram_disk) -> "#06c";
colour(ram_quorum) -> "#09a";
colour(ram_memory) -> "#6bf";
colour(mnesia_transaction) -> "#c60";
colour(mnesia_dirty) -> "#fb6";
colour(ets) -> "#888".
