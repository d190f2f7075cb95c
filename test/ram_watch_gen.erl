%% Generators of ram_watch_prop: what happens in a run. Debian's PropEr comes without its header,
%% hence the macro.
-module(ram_watch_gen).

-export([steps/1]).
-export_type([step/0]).

%% `{ago, N}' is N revisions before the present one, `{ahead, N}' after it. `N' of `unwatch' counts
%% the watches around.
-type step() :: {write, Node :: pos_integer(), ram_model:operation()}
              | {watch, Node :: pos_integer(), Table :: atom(), What :: term(), Options :: map(),
                 each | asked | never}
              | acknowledge | {unwatch, N :: non_neg_integer()} | {pause, Ms :: pos_integer()}.

-define(LET(X, Type, Gen), proper_types:bind(Type, fun(X) -> Gen end, false)).
-define(NODES, 3).
-define(STEPS_MAX, 100).

-import(proper_types, [oneof/1, frequency/1, range/2, elements/1, list/1, resize/2]).

%% @doc Of these keys.
steps(Keys) ->
    resize(?STEPS_MAX, list(frequency([{20, write(Keys)}, {5, watch(Keys)}, {3, acknowledge},
                                       {1, {unwatch, range(0, 9)}}, {1, {pause, range(1, 200)}}]))).

write(Keys) ->
    Operation = frequency([{4, ram_model_gen:one_write(Keys, 20)}, {2, expires(Keys)},
                           {1, fills(Keys)}, {1, passes(Keys)}]),
    {write, range(1, ?NODES), Operation}.

fills(Keys) ->
    {put_many, [[{Key, range(1, 9)} || Key <- lists:usort(Keys)]],
     elements([#{table => default}, #{table => s}, #{table => o}])}.

%% Of a table that comes and goes.
passes(Keys) ->
    oneof([{create_table, [t], #{type => ordered_set}}, {drop_table, [t], none},
           {create_table, [u], #{}},
           {put_many, [[{Key, range(1, 9)} || Key <- lists:usort(Keys)]], #{table => t}}]).

%% With times that are over soon.
expires(Keys) ->
    Key = elements(Keys),
    Ttl = range(1, 200),
    ?LET({Operation, Table, Ms},
         {oneof([{put, [Key, 1]}, {put_new, [Key, 1]}, {touch, Key},
                 {put_many, [[{K, 1} || K <- lists:usort(Keys)]]}]),
          elements([default, s, o, t]), Ttl},
         case Operation of
             {touch, Of} -> {touch, [Of, Ms], #{table => Table}};
             {Function, Arguments} -> {Function, Arguments, #{table => Table, ttl => Ms}}
         end).

watch(Keys) ->
    ?LET({{Table, What}, Options, Acks},
         {of_table(Keys), options(), elements([each, each, asked, asked, never])},
         {watch, range(1, ?NODES), Table, What, Options, Acks}).

of_table(Keys) ->
    Table = frequency([{4, default}, {4, s}, {4, o}, {3, t}, {1, u}]),
    frequency([{3, {Table, {key, elements(Keys)}}}, {6, {Table, all}},
               {5, {frequency([{8, o}, {2, t}, {1, s}]), ranged(Keys)}}]).

ranged(Keys) ->
    oneof([{prefix, prefix(Keys)}, ?LET(Ends, {elements(Keys), elements(Keys)}, in_order(Ends)),
           {range, '$first', {key, elements(Keys)}}, {range, {key, elements(Keys)}, '$last'},
           {range, '$first', '$last'}]).

prefix(Keys) ->
    oneof([<<>>, <<"a">>, [], [1], {tuple, 2, []}, {tuple, 2, [1]}, {tuple, 1, []}
           | [elements(Binaries) || Binaries <- [[Key || Key <- Keys, is_binary(Key)]],
                                    Binaries =/= []]]).

in_order({One, Other}) ->
    case ram_model_scan:is_before(Other, One) of
        true -> {range, {key, Other}, {key, One}};
        false -> {range, {key, One}, {key, Other}}
    end.

%% A map is no type of this PropEr.
options() ->
    Begin = frequency([{3, none}, {3, initial}, {3, {ago, range(0, 20)}},
                       {1, {ahead, range(1, 5)}}]),
    Room = ram_model_options:options([{old, ram_model_options:boolean()},
                                      {events_max, range(1, 6)}, {events_max, range(1, 6)},
                                      {bytes_max, elements([1, 300])},
                                      {bytes_max, elements([1, 300, 2000, 100000])}]),
    ?LET({From, Options}, {Begin, Room},
         case From of
             none -> Options;
             initial -> Options#{initial => true};
             _ -> Options#{from => From}
         end).
