%% Scans: what a table, or a range of an ordered one, holds at one revision, while writes go on.
%% Called by ram alone. Counterpart of scan.rs.
%%
%% A short range is answered in one call, as a read of a key is. Anything longer opens a scan, which
%% holds the table as it was, and reads it page by page; the caller's funs and match specifications
%% run in the caller, between two pages. A continuation holds the scan open.
-module(ram_scan).

-export([fold/3, foreach/2, to_list/1, keys/1, select/2, range/3, prefix/2]).
-export([first/1, last/1, next/2, prev/2]).
-export([bounds/2, is_prefix/1, keys_in/3, last_keys/4, open/3, decoded/2, not_ordered/2,
         range_checks/0]).
-export_type([continuation/0]).

%% In one page: a page takes well below a millisecond.
-define(PAGE_ITEMS, 1000).
%% How much of a wrong term is printed.
-define(DEPTH, 12).

%% What is left: results that were found, and where to go on.
-record(ram_continuation, {scan :: {reference(), Table :: binary()},
                           revision :: pos_integer(),
                           what :: term(),              % the table, the call and its arguments
                           found = [] :: [term()],
                           cursor :: term()}).

-opaque continuation() :: #ram_continuation{}.

-type call() :: ram_error:call().
%% Bounds as the library takes them; `empty' holds nothing.
-type bounds() :: all | empty | {term(), term()}.

-spec fold(fun(({term(), term()}, Acc) -> Acc), Acc, {call(), [map()]}) -> Acc.
fold(Fun, Acc, {Call, Options}) ->
    is_function(Fun, 2)
        orelse wrong(Call, 1, "must be a fun of two arguments, {Key, Value} and Acc", Fun),
    Asked = ram_options:read(options(Options), #{reverse => fun check_boolean/1}, Call),
    Scan = open_table(Asked, Call),
    try
        fold_pages(Fun, Acc, Scan, start, page_options(Asked), Call)
    after
        close(Scan)
    end.

-spec foreach(fun(({term(), term()}) -> term()), [map()]) -> ok.
foreach(Fun, Options) ->
    Call = {foreach, [Fun | Options]},
    is_function(Fun, 1)
        orelse wrong(Call, 1, "must be a fun of one argument, {Key, Value}", Fun),
    fold(fun(Item, ok) -> _ = Fun(Item), ok end, ok, {Call, Options}).

fold_pages(_Fun, Acc, _Scan, done, _Options, _Call) ->
    Acc;
fold_pages(Fun, Acc, Scan, Cursor, Options, Call) ->
    {Items, Next} = page(Scan, Cursor, all, Options, Call),
    fold_pages(Fun, lists:foldl(Fun, Acc, Items), Scan, Next, Options, Call).

-spec to_list([map()]) -> [{term(), term()}] | {[{term(), term()}], continuation() | done}.
to_list(Options) ->
    list(all, same, Options, {to_list, Options}).

-spec keys([map()]) -> [term()] | {[term()], continuation() | done}.
keys(Options) ->
    listed(all, keys, options(Options), {keys, Options}).

-spec select(ets:match_spec(), [map()]) -> [term()] | {[term()], continuation() | done}.
select(Spec, Options) ->
    Call = {select, [Spec | Options]},
    ok = without_keys_only(Options, Call),
    listed(all, {select, Spec, compiled(Spec, Call)}, options(Options), Call).

without_keys_only([#{keys_only := _}], Call) ->
    Why = "keys_only is no option of select: the match specification says what is returned",
    ram_error:badarg(Call, 2, Why);
without_keys_only(_Options, _Call) ->
    ok.

%% One without a clause matches nothing; ets selects by it, and does not compile it.
compiled([], _Call) ->
    none;
compiled(Spec, Call) ->
    try ets:match_spec_compile(Spec)
    catch error:badarg -> wrong(Call, 1, "must be a match specification of ets", Spec)
    end.

-spec range(term(), term(), [map()]) ->
          [term()] | {[term()], continuation() | done}.
range(From, To, Options) ->
    list(bounds(From, To), same, Options, {range, [From, To | Options]}).

-spec prefix(term(), [map()]) -> [term()] | {[term()], continuation() | done}.
prefix(Prefix, Options) ->
    Call = {prefix, [Prefix | Options]},
    case is_prefix(Prefix) of
        true -> list({prefix, Prefix}, same, Options, Call);
        false -> wrong(Call, 1, "must be a list, a binary, or {tuple, Size, FirstElements}", Prefix)
    end.

%% @doc Whether keys may begin so.
-spec is_prefix(term()) -> boolean().
is_prefix({tuple, Size, First}) ->
    is_integer(Size) andalso Size >= 0 andalso Size < 1 bsl 24
        andalso is_list(First) andalso length_at_most(First, Size);
is_prefix(Prefix) when is_list(Prefix) ->
    length_at_most(Prefix, infinity);
is_prefix(Prefix) ->
    is_binary(Prefix).

length_at_most(List, Max) ->
    try length(List) =< Max catch error:badarg -> false end.

-spec first([map()]) -> {ok, {term(), term()}} | error.
first(Options) -> one(all_keys(), false, Options, {first, Options}).

-spec last([map()]) -> {ok, {term(), term()}} | error.
last(Options) -> one(all_keys(), true, Options, {last, Options}).

-spec next(term(), [map()]) -> {ok, {term(), term()}} | error.
next(Key, Options) ->
    one({{excluding, Key}, unbounded}, false, Options, {next, [Key | Options]}).

-spec prev(term(), [map()]) -> {ok, {term(), term()}} | error.
prev(Key, Options) ->
    one({unbounded, {excluding, Key}}, true, Options, {prev, [Key | Options]}).

one(Bounds, Reverse, Options, Call) ->
    Asked = ram_options:read(options(Options), #{}, Call),
    case short(Bounds, {Reverse, false, 1}, Asked, Call) of
        {[Item], _IsMore} -> {ok, Item};
        {[], false} -> error
    end.

all_keys() -> {unbounded, unbounded}.

%% @doc The ends of a range: `$first' and `$last' stand for those of the table, `{key, K}' is any
%% key literally.
-spec bounds(term(), term()) -> bounds().
bounds('$first', '$first') -> {at_end, false};
bounds('$last', '$last') -> {at_end, true};
bounds('$last', _To) -> empty;
bounds(_From, '$first') -> empty;
bounds(From, To) -> {lower(From), upper(To)}.

lower('$first') -> unbounded;
lower(Key) -> {including, literal(Key)}.

upper('$last') -> unbounded;
upper(Key) -> {including, literal(Key)}.

literal({key, Key}) -> Key;
literal(Key) -> Key.

%%% Lists, whole or by continuations

list(Bounds, Make, Options, Call) ->
    listed(Bounds, Make, options(Options), Call).

listed(Bounds, Make, Options, Call) ->
    Checks = #{limit => fun check_limit/1, reverse => fun check_boolean/1,
               keys_only => fun check_boolean/1, continuation => fun check_continuation/1},
    #{table := Table, more := More} = Asked =
        of_make(Make, ram_options:read(Options, Checks, Call)),
    What = {Table, Bounds, made_of(Make), maps:without([limit, continuation], More)},
    case More of
        #{continuation := #ram_continuation{what = What} = Continuation} ->
            go_on(Continuation, Make, Asked, Call);
        #{continuation := _OfAnother} ->
            ram_error:badarg(Call, length(ram_error:arguments(Call)),
                             "the option continuation is of another call or other options");
        #{limit := _} ->
            limited(Bounds, Make, What, Asked, Call);
        #{} ->
            whole(Bounds, Make, Asked, Call)
    end.

made_of({select, Spec, _Compiled}) -> {select, Spec};
made_of(Make) -> Make.

%% Keys are all that is wanted.
of_make(keys, #{more := More} = Asked) -> Asked#{more := More#{keys_only => true}};
of_make(_Make, Asked) -> Asked.

%% @doc The keys of a range, or of a whole table.
-spec keys_in(ram_nif:key_range() | all, ram_options:asked(), call()) -> [term()].
keys_in(Bounds, Asked, Call) ->
    whole(Bounds, keys, of_make(keys, Asked), Call).

%% @doc The last keys of a range, so many at most, and whether there are more before them.
-spec last_keys(ram_nif:key_range(), pos_integer(), ram_options:asked(), call()) ->
          {[term()], IsMore :: boolean()}.
last_keys(Bounds, Count, Asked, Call) ->
    short(Bounds, {true, true, Count}, Asked, Call).

%% A range that is upside down too is one of an ordered table that is there.
whole(empty, _Make, Asked, Call) ->
    {_First, _IsMore} = short(all_keys(), {false, true, 1}, Asked, Call),
    [];
whole({at_end, Reverse}, _Make, Asked, Call) ->
    {_, KeysOnly, _} = page_options(Asked),
    {Items, _IsMore} = short(all_keys(), {Reverse, KeysOnly, 1}, Asked, Call),
    Items;
whole(all, Make, Asked, Call) ->
    scanned(all, Make, Asked, Call);
whole(Bounds, Make, Asked, Call) ->
    case short(Bounds, page_options(Asked), Asked, Call) of
        {Items, false} -> Items;
        {_Some, true} -> scanned(Bounds, Make, Asked, Call)
    end.

scanned(Bounds, Make, Asked, Call) ->
    Scan = open_table(Asked, Call),
    try
        gather(Scan, start, Bounds, Make, page_options(Asked), infinity, [], Call)
    of
        {Pages, done} -> lists:append(lists:reverse(Pages))
    after
        close(Scan)
    end.

limited(Bounds, Make, _What, Asked, Call) when Bounds =:= empty; element(1, Bounds) =:= at_end ->
    {whole(Bounds, Make, Asked, Call), done};
limited(Bounds, Make, What, Asked, Call) ->
    {_Member, {Opened, Table} = Scan, Revision} = Open = open_table(Asked, Call),
    case Bounds =:= all orelse ram_nif:scan_type(Opened, Table) of
        set -> close(Open), not_ordered(maps:get(name, Asked), Call);
        _Ordered -> ok
    end,
    Continuation = #ram_continuation{scan = Scan, revision = Revision, what = What, cursor = start},
    go_on(Continuation, Make, Asked, Call).

go_on(#ram_continuation{scan = Scan, revision = Revision, what = {_, Bounds, _, _}, found = Found,
                        cursor = Cursor} = Continuation, Make, Asked, Call) ->
    #{member := Member, more := More} = Asked,
    Limit = maps:get(limit, More, infinity),
    Open = {Member, Scan, Revision},
    {Pages, Next} =
        case length_at_least(Found, Limit) of
            true -> {[Found], Cursor};
            false -> gather(Open, Cursor, Bounds, Make, page_options(Asked), Limit, [Found], Call)
        end,
    Results = lists:append(lists:reverse(Pages)),
    case split(Limit, Results) of
        %% A continuation from before may be used again.
        {Items, []} when Next =:= done -> {Items, done};
        {Items, Rest} -> {Items, Continuation#ram_continuation{found = Rest, cursor = Next}}
    end.

length_at_least(_Found, infinity) -> false;
length_at_least(Found, Limit) -> length(Found) >= Limit.

split(infinity, Results) -> {Results, []};
split(Limit, Results) when length(Results) =< Limit -> {Results, []};
split(Limit, Results) -> lists:split(Limit, Results).

%% Pages until there are so many results, the newest first.
gather(_Scan, done, _Bounds, _Make, _Options, _Limit, Pages, _Call) ->
    {Pages, done};
gather(Scan, Cursor, Bounds, Make, {Reverse, KeysOnly, _} = Options, Limit, Pages, Call) ->
    Room = case Make of
               {select, _, _} -> ?PAGE_ITEMS;
               _ when is_integer(Limit) -> min(?PAGE_ITEMS, Limit - count(Pages));
               _ -> ?PAGE_ITEMS
           end,
    {Items, Next} = page(Scan, Cursor, Bounds, {Reverse, KeysOnly, Room}, Call),
    All = [made(Make, Items) | Pages],
    case is_integer(Limit) andalso count(All) >= Limit of
        true -> {All, Next};
        false -> gather(Scan, Next, Bounds, Make, Options, Limit, All, Call)
    end.

count(Pages) ->
    lists:sum([length(Page) || Page <- Pages]).

made({select, [], none}, _Items) -> [];
made({select, _Spec, Compiled}, Items) -> ets:match_spec_run(Items, Compiled);
made(_Make, Items) -> Items.

%%% Pages

page_options(#{more := More}) ->
    {maps:get(reverse, More, false), maps:get(keys_only, More, false), ?PAGE_ITEMS}.

%% As much of a range as one call gives, and whether there is more.
short(Bounds, Options, #{member := Member, table := Table, name := Name} = Asked, Call) ->
    Now = fun(Fresh) ->
                  Answer = ram_nif:range_now(Member, Table, Bounds, Options, Fresh),
                  ram_lookup:unless_long(Answer)
          end,
    Later = fun(Ref, Fresh, TimeoutMs) ->
                    ram_nif:range(Member, Ref, Table, {Bounds, Options}, Fresh, TimeoutMs)
            end,
    case ram_lookup:ask(Asked, Now, Later, 1) of
        {items, Items, IsMore} -> {Items, IsMore};
        {mixed, Items, IsMore} -> {decoded(Items, Call), IsMore};
        {error, {not_ordered, _}} -> not_ordered(Name, Call);
        Failed -> failed(Failed, Call)
    end.

open_table(#{table := Table} = Asked, Call) ->
    {Member, Scan, Revision} = open(Table, Asked, Call),
    {Member, {Scan, Table}, Revision}.

%% @doc A scan of a table, or of all.
-spec open(binary() | all, ram_options:asked(), call()) ->
          {ram_nif:member(), reference(), pos_integer()}.
open(Which, #{member := Member} = Asked, Call) ->
    Now = fun(Fresh) -> ram_nif:scan_now(Member, Which, Fresh) end,
    Later = fun(Ref, Fresh, TimeoutMs) -> ram_nif:scan(Member, Ref, Which, Fresh, TimeoutMs) end,
    {ok, Scan, Revision} = ram_lookup:checked(ram_lookup:ask(Asked, Now, Later, 1), Call),
    {Member, Scan, Revision}.

close({_Member, {Scan, _Table}, _Revision}) ->
    ram_nif:scan_close(Scan).

page({Member, Scan, Revision}, Cursor, Bounds, Options, Call) ->
    case ram_nif:scan_page(Member, Scan, Cursor, Bounds, Options) of
        {items, Items, Next} -> {Items, Next};
        {mixed, Items, Next} -> {decoded(Items, Call), Next};
        expired -> ram_error:failure({expired, Revision}, Call);
        Failed -> failed(Failed, Call)
    end.

%% Of a range either end may be the wrong key.
-spec failed({error, term()}, call()) -> no_return().
failed({error, {bad_key, Why}}, {range, [From | _]} = Call) ->
    Position = case ram_request:is_key(literal(From)) of true -> 2; false -> 1 end,
    ram_request:bad_key(Why, Position, "", Call);
failed(Failed, Call) ->
    ram_lookup:checked(Failed, Call).

%% @doc With values that are decoded in the calling process.
-spec decoded([term()], call()) -> [term()].
decoded(Items, Call) ->
    [case Item of
         {'ram encoded', Key, Binary} -> {Key, ram_request:decoded(Binary, Key, Call)};
         {'ram unreadable', Key} -> ram_error:failure({unreadable_key, Key}, Call);
         _ -> Item
     end || Item <- Items].

%%% Arguments

-spec not_ordered(atom(), call()) -> no_return().
not_ordered(Name, Call) ->
    Arguments = ram_error:arguments(Call),
    Why = io_lib:format("the table ~ts is a set, and has no order", [Name]),
    ram_error:badarg(Call, length(Arguments), Why).

-spec wrong(call(), pos_integer(), string(), term()) -> no_return().
wrong(Call, Position, Must, Term) ->
    ram_error:badarg(Call, Position, io_lib:format("~ts, and is ~0tP", [Must, Term, ?DEPTH])).

options([]) -> #{};
options([Options]) -> Options.

%% @doc The options of a range inside of a transaction.
-spec range_checks() -> ram_arguments:checks().
range_checks() ->
    #{table => fun ram_arguments:table/1, limit => fun check_limit/1,
      reverse => fun check_boolean/1, keys_only => fun check_boolean/1}.

check_boolean(Value) when is_boolean(Value) -> ok;
check_boolean(_Value) -> {error, "must be true or false"}.

check_limit(Limit) when is_integer(Limit), Limit > 0 -> ok;
check_limit(_Limit) -> {error, "must be a positive integer"}.

check_continuation(#ram_continuation{}) -> ok;
check_continuation(_Other) -> {error, "must be a continuation that the same call returned"}.
