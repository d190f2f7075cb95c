%% The words and the plot of a benchmark, and the pieces that pictures are made of.
-module(ram_bench_report).

-export([table/1, machine/0, plot/2, say/2]).
-export([svg/1, text/4, line/2]).
-export_type([row/0]).

%% What was measured, the figure, and what is wanted of it.
-type row() :: {Label :: iodata(), Figure :: iodata(), Wanted :: iodata()}.

-define(WIDTH, 640).
-define(HEIGHT, 320).
-define(MARGIN, 64).

-spec say(io:format(), [term()]) -> ok.
say(Format, Arguments) ->
    io:format(Format ++ "~n", Arguments).

-spec table([row()]) -> ok.
table(Rows) ->
    say("", []),
    lists:foreach(fun({Label, Figure, Wanted}) ->
                          %% A field width would cut off what is longer.
                          say("~-50ts ~ts   ~ts", [Label, string:pad(Figure, 30, leading), Wanted])
                  end, Rows).

-spec machine() -> [row()].
machine() ->
    {ok, Load} = file:read_file("/proc/loadavg"),
    [{"machine", io_lib:format("~b cores, ~ts", [erlang:system_info(logical_processors),
                                                 command("uname -sr")]), ""},
     {"processor", command("sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1"), ""},
     {"Erlang/OTP", erlang:system_info(otp_release), ""},
     {"load average when this was printed", hd(binary:split(Load, <<" ">>)), ""},
     {"date", calendar:system_time_to_rfc3339(os:system_time(second), [{offset, "Z"}]), ""},
     {"commit", command("git describe --always --dirty"), ""}].

command(Command) ->
    string:trim(os:cmd(Command ++ " 2>/dev/null")).

%% @doc Writes a plot of {Entries, Rate} as SVG.
-spec plot(file:filename(), [{pos_integer(), number()}]) -> ok.
plot(File, Points) ->
    {Xs, Ys} = lists:unzip(Points),
    {MaxX, MaxY} = {lists:max(Xs), round_up(lists:max(Ys))},
    At = fun({X, Y}) ->
                 {?MARGIN + X / MaxX * (?WIDTH - 2 * ?MARGIN),
                  ?HEIGHT - ?MARGIN - Y / MaxY * (?HEIGHT - 2 * ?MARGIN)}
         end,
    Line = [io_lib:format("~.1f,~.1f ", tuple_to_list(At(Point))) || Point <- Points],
    ok = filelib:ensure_dir(File),
    ok = file:write_file(File, svg([axes(At, MaxX, MaxY),
                                    "<polyline fill='none' stroke='#06c' stroke-width='2' points='",
                                    Line, "'/>\n"])).

%% @doc A picture of so many elements.
-spec svg(iodata()) -> iodata().
svg(Content) ->
    Size = io_lib:format("viewBox='0 0 ~b ~b' width='~b' height='~b'",
                         [?WIDTH, ?HEIGHT, ?WIDTH, ?HEIGHT]),
    ["<svg xmlns='http://www.w3.org/2000/svg' ", Size,
     " font-family='sans-serif' font-size='12'>\n<rect width='100%' height='100%' fill='white'/>\n",
     Content, "</svg>\n"].

axes(At, MaxX, MaxY) ->
    Parts = [0, 0.25, 0.5, 0.75, 1],
    [[[line(At({0, P * MaxY}), At({MaxX, P * MaxY})),
       text(At({0, P * MaxY}), {-6, 4}, "end", number(P * MaxY))] || P <- Parts],
     [text(At({P * MaxX, 0}), {0, 16}, "middle", number(P * MaxX)) || P <- Parts],
     text(At({MaxX / 2, 0}), {0, 40}, "middle", "entries in the table"),
     text(At({0, MaxY}), {0, -16}, "middle", "puts per second")].

-spec line({number(), number()}, {number(), number()}) -> iodata().
line({X1, Y1}, {X2, Y2}) ->
    io_lib:format("<path d='M~.1f ~.1fL~.1f ~.1f' stroke='#ccc'/>\n",
                  [float(Number) || Number <- [X1, Y1, X2, Y2]]).

%% @doc A text beside a point; Anchor is SVG's: start, middle or end.
-spec text({number(), number()}, {number(), number()}, string(), iodata()) -> iodata().
text({X, Y}, {Right, Down}, Anchor, Text) ->
    io_lib:format("<text x='~.1f' y='~.1f' text-anchor='~s'>~s</text>\n",
                  [float(X + Right), float(Y + Down), Anchor, Text]).

number(Number) ->
    integer_to_list(round(Number)).

%% So that a quarter of it is a round number.
round_up(Number) ->
    Unit = math:pow(10, math:floor(math:log10(max(Number, 10)))) * 0.4,
    math:ceil(Number / Unit) * Unit.
